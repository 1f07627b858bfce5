"""The share of cached tokens behind the gateway is that of one deployment asked directly."""

import support

HEADS, QUESTIONS = 4, 10


def ask(client, model, head, question, stream):
    messages = [
        {"role": "system", "content": f"Rules of shop {head}. " + "Be kind. Mind the returns policy. " * 250},
        {"role": "user", "content": f"Question {question}: where is my parcel?"},
    ]
    if not stream:
        return client.chat.completions.create(model=model, messages=messages).usage
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model=model, messages=messages, **options))
    return chunks[-1].usage


def share(client, model, stream):
    support.control("POST", "/control/reset")
    cached = prompt = 0
    for question in range(QUESTIONS):
        for head in range(HEADS):
            usage = ask(client, model, head, question, stream)
            prompt += usage.prompt_tokens
            cached += usage.prompt_tokens_details.cached_tokens
    return cached / prompt


def cached_shares_are_equal():
    for stream in (False, True):
        straight = share(support.direct(), support.DIRECT_MODEL, stream)
        through = share(support.v1(), support.MODEL, stream)
        print(f"stream={stream}: directly {straight:.4f}, through the gateway {through:.4f}")
        assert straight > 0.5, "the prompts are such that a cache helps"
        assert abs(straight - through) < 0.01, (straight, through)


def deployments_share_the_heads():
    accounts = {request["account"] for request in support.control("GET", "/control/requests")}
    assert len(accounts) > 1, f"only {accounts} was asked, which makes equality no feat"


cached_shares_are_equal()
deployments_share_the_heads()
print("ok")
