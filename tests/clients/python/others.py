"""The other operations: embeddings, legacy completions, the list of models."""

import support
from support import EMBEDDER, MODEL


def embeddings_come_as_numbers_and_as_base64():
    for client in (support.classic(), support.v1()):
        # Without a format the client asks for base64 and decodes it itself.
        decoded = client.embeddings.create(model=EMBEDDER, input=["one", "two"], dimensions=8)
        numbers = client.embeddings.create(model=EMBEDDER, input=["one", "two"], dimensions=8, encoding_format="float")
        coded = client.embeddings.create(model=EMBEDDER, input=["one", "two"], dimensions=8, encoding_format="base64")
        assert isinstance(coded.data[0].embedding, str), coded
        for left, right in zip(decoded.data, numbers.data, strict=True):
            assert len(left.embedding) == 8
            assert all(abs(a - b) < 1e-6 for a, b in zip(left.embedding, right.embedding, strict=True))
        assert numbers.usage.prompt_tokens > 0, numbers.usage


def legacy_completions_answer():
    for client in (support.classic(), support.v1()):
        answer = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8)
        assert answer.choices[0].text and answer.usage.completion_tokens <= 8, answer
        pieces = list(client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8, stream=True))
        assert "".join(piece.choices[0].text for piece in pieces if piece.choices), pieces


def models_are_listed():
    for client in (support.classic(), support.v1(), support.v1("/v1")):
        models = {model.id for model in client.models.list()}
        assert {MODEL, EMBEDDER} <= models, models
        assert client.models.retrieve(MODEL).id == MODEL


support.run(embeddings_come_as_numbers_and_as_base64, legacy_completions_answer, models_are_listed)
