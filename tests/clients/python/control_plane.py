"""The official management library and azure-identity, unmodified, against the simulated control plane over TLS.

Prints a table: operation, call, result.
"""

import json
import os
import sys
import time
import traceback
from urllib.request import Request, urlopen

from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import ClientSecretCredential, ManagedIdentityCredential
from azure.mgmt.cognitiveservices import CognitiveServicesManagementClient

ARM = os.environ["SIM_ARM_URL"]
SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
TENANT = "22222222-2222-4222-8222-222222222222"
CLIENT = "33333333-3333-4333-8333-333333333333"
GROUP, DESTINATION, SOURCE = "emberway-sim", "destination", "source"
MINI = "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef"
NANO = "gpt-4.1-nano-2025-04-14.ft-fedcba9876543210fedcba9876543210"
SOURCE_ID = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.CognitiveServices/accounts/{SOURCE}"
)


def tell(operation, call, result):
    print(f"| {operation} | `{call}` | {result} |")


class Static:
    """A token as `az account get-access-token` would give."""

    def __init__(self, token="sim-arm-token"):
        self.token = token

    def get_token(self, *_scopes, **_options):
        return AccessToken(self.token, int(time.time()) + 3600)


def client(credential=None):
    scopes = ["https://management.azure.com/.default"]
    return CognitiveServicesManagementClient(
        credential or Static(), SUBSCRIPTION, base_url=ARM, credential_scopes=scopes, retry_total=0
    )


def wanted(model=MINI, sku="Standard", capacity=1, **more):
    return {
        "sku": {"name": sku, "capacity": capacity},
        "properties": {"model": {"format": "OpenAI", "name": model, "version": "1", **more}},
    }


def create(name, body, account=DESTINATION):
    return client().deployments.begin_create_or_update(GROUP, account, name, body)


def delete(name):
    client().deployments.begin_delete(GROUP, DESTINATION, name).result()


def refused(kind, code, call):
    try:
        call()
    except kind as error:
        assert error.error.code == code, error
        return f"{error.status_code}, {kind.__name__}: {code}"
    raise AssertionError(f"{code} was expected")


def told(deployment):
    state, sku = deployment.properties.provisioning_state, deployment.sku
    return f"{state}, {sku.name}, capacity {deployment.properties.current_capacity}"


def a_deployment_is_created_and_polled_to_its_end():
    began = time.monotonic()
    made = create("support", wanted(capacity=50)).result()
    # Without our Retry-After the library would have waited for half a minute.
    assert time.monotonic() - began < 15
    assert made.properties.provisioning_state == "Succeeded", made
    assert (made.sku.name, made.sku.capacity, made.properties.current_capacity) == ("Standard", 50, 50)
    tell("create, polled to its end", "deployments.begin_create_or_update(…).result()", told(made))
    got = client().deployments.get(GROUP, DESTINATION, "SUPPORT")
    assert got.name == "support" and got.system_data.created_at.year == 2026, got
    limits = {limit.key: limit.count for limit in got.properties.rate_limits}
    assert limits == {"request": 50, "token": 50000}, limits
    tell("get", "deployments.get(…)", f"{told(got)}, {limits['token']:.0f} tokens and {limits['request']:.0f} requests")


def lists_are_read_to_their_last_page():
    for name in ("b", "c"):
        create(name, wanted(sku="GlobalStandard")).result()
    names = [found.name for found in client().deployments.list(GROUP, DESTINATION)]
    assert names == ["b", "c", "support"], names
    tell("list", "deployments.list(…)", f"{len(names)} deployments of two pages")
    skus = [item.sku.name for item in client().deployments.list_skus(GROUP, DESTINATION, "support")]
    assert "DeveloperTier" in skus, skus
    tell("list SKUs", "deployments.list_skus(…)", ", ".join(skus))


def a_model_is_deployed_in_another_region():
    body = wanted(model=NANO, sku="standard", source=SOURCE_ID)
    made = create("elsewhere", body).result()
    assert made.properties.model.source == SOURCE_ID, made
    tell("create from another region", "deployments.begin_create_or_update(…, model.source).result()", told(made))
    made = create("checkpoint", wanted(model="ftchkpt-1", sku="Developer", source=SOURCE_ID)).result()
    tell("create of a checkpoint", "deployments.begin_create_or_update(…, model.source).result()", told(made))
    code = "DeploymentModelNotSupported"
    result = refused(HttpResponseError, code, lambda: create("missing", wanted(model=NANO)).result())
    tell("create without its source", "deployments.begin_create_or_update(…)", result)


def a_deployment_is_updated():
    change = {"sku": {"name": "Standard", "capacity": 60}, "tags": {"owner": "tests"}}
    changed = client().deployments.begin_update(GROUP, DESTINATION, "support", change).result()
    assert (changed.properties.current_capacity, changed.tags) == (60, {"owner": "tests"}), changed
    tell("update", "deployments.begin_update(…).result()", f"{told(changed)}, tags {changed.tags}")
    again = create("support", wanted(capacity=61)).result()
    assert again.properties.current_capacity == 61, again
    tell("update, by create", "deployments.begin_create_or_update(…).result()", told(again))


def a_second_write_meets_a_conflict():
    poller = create("slow", wanted(sku="GlobalStandard"))
    result = refused(ResourceExistsError, "RequestConflict", lambda: create("other", wanted(sku="GlobalStandard")))
    tell("create while another runs", "deployments.begin_create_or_update(…)", result)
    poller.result()
    delete("slow")


def quota_is_told_and_kept():
    usages = {usage.name.value: usage for usage in client().usages.list("swedencentral")}
    line = usages["OpenAI.Standard.gpt-4.1-mini-finetune"]
    assert (line.current_value, line.limit) == (61, 200), line
    tell("quota", "usages.list(…)", f"{line.current_value:.0f} of {line.limit:.0f} used of {line.name.value}")
    result = refused(HttpResponseError, "InsufficientQuota", lambda: create("large", wanted(capacity=140)).result())
    tell("create beyond the quota", "deployments.begin_create_or_update(…)", result)
    free = client().model_capacities.list("OpenAI", "gpt-4.1-mini", "2025-04-14")
    left = {(item.location, item.properties.sku_name): item.properties.available_finetune_capacity for item in free}
    assert left["swedencentral", "Standard"] == 139, left
    tell("free capacity", "model_capacities.list(…)", f"{left['swedencentral', 'Standard']:.0f} in swedencentral, Standard")


def models_and_accounts_are_listed():
    models = {model.name: model for model in client().accounts.list_models(GROUP, DESTINATION)}
    assert models[MINI].base_model.name == "gpt-4.1-mini", models
    assert any(sku.usage_name.endswith("-finetune") for sku in models[MINI].skus)
    tell("models of an account", "accounts.list_models(…)", f"{MINI}, fine-tuned from {models[MINI].base_model.name}")
    located = [item.model.name for item in client().models.list("swedencentral")]
    assert "gpt-4.1" in located, located
    tell("models of a region", "models.list(…)", f"{len(located)}, gpt-4.1 among them")
    account = client().accounts.get(GROUP, DESTINATION)
    assert account.location == "swedencentral" and account.properties.provisioning_state == "Succeeded"
    assert len(list(client().accounts.list())) == 2
    assert client().accounts.list_keys(GROUP, DESTINATION).key2 == "second"


def a_deletion_works_twice():
    delete("support")
    gone = refused(ResourceNotFoundError, "ResourceNotFound", lambda: client().deployments.get(GROUP, DESTINATION, "support"))
    tell("delete", "deployments.begin_delete(…).result()", f"get then: {gone}")
    # A failure would raise, whichever status it has.
    statuses = []
    again = client().deployments.begin_delete(
        GROUP, DESTINATION, "support", raw_response_hook=lambda answer: statuses.append(answer.http_response.status_code)
    )
    again.result()
    assert statuses == [204], statuses
    tell("delete again", "deployments.begin_delete(…).result()", f"{statuses[0]}, nothing was there")


def a_lost_operation_shows_its_error():
    fault = {"count": 1, "action": {"fail_operation": {"code": "InternalServerError", "message": "sorry"}}}
    request = Request(
        os.environ["SIM_CONTROL"] + "/control/arm/faults", json.dumps(fault).encode(), {"content-type": "application/json"}
    )
    urlopen(request, timeout=10).read()
    result = refused(HttpResponseError, "InternalServerError", lambda: create("broken", wanted()).result())
    tell("create whose operation fails", "deployments.begin_create_or_update(…).result()", result)
    delete("broken")


def tokens_come_from_their_endpoints():
    secret = ClientSecretCredential(
        TENANT, CLIENT, "sim-client-secret", authority=ARM, disable_instance_discovery=True
    )
    assert client(secret).accounts.get(GROUP, DESTINATION).name == DESTINATION
    tell("log in by secret", "ClientSecretCredential(…)", "taken")
    machine = client(ManagedIdentityCredential())
    assert machine.accounts.get(GROUP, DESTINATION).name == DESTINATION
    tell("log in as the app", "ManagedIdentityCredential()", "taken")
    wrong = ClientSecretCredential(TENANT, CLIENT, "wrong", authority=ARM, disable_instance_discovery=True)
    try:
        client(wrong).accounts.get(GROUP, DESTINATION)
    except ClientAuthenticationError as error:
        assert "AADSTS7000215" in str(error), error
        tell("log in by a wrong secret", "ClientSecretCredential(…)", "refused: AADSTS7000215")
    else:
        raise AssertionError("a wrong secret was taken")
    refused(
        ClientAuthenticationError,
        "InvalidAuthenticationToken",
        lambda: client(Static("nonsense")).accounts.get(GROUP, DESTINATION),
    )


failed = 0
print("| operation | call | result |\n| --- | --- | --- |")
for scenario in (
    a_deployment_is_created_and_polled_to_its_end,
    lists_are_read_to_their_last_page,
    a_model_is_deployed_in_another_region,
    a_deployment_is_updated,
    a_second_write_meets_a_conflict,
    quota_is_told_and_kept,
    models_and_accounts_are_listed,
    a_deletion_works_twice,
    a_lost_operation_shows_its_error,
    tokens_come_from_their_endpoints,
):
    try:
        scenario()
    except Exception:  # noqa: BLE001 - every scenario is told about
        failed += 1
        print(f"FAILED  {scenario.__name__}\n{traceback.format_exc()}")
sys.exit(failed > 0)
