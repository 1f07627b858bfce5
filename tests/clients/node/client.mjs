// The official JavaScript client through both URL families: answers, streams, errors.

import assert from "node:assert/strict";
import OpenAI, { APIError, AuthenticationError, AzureOpenAI, NotFoundError, RateLimitError } from "openai";

const { EMBERWAY_URL: url, EMBERWAY_KEY: key, SIMULATOR_CONTROL: control } = process.env;
const model = "bot";
const messages = [
  { role: "system", content: "You answer for a parcel service." },
  { role: "user", content: "Where is my parcel? 🔥 東京" },
  { role: "assistant", content: "May I have its number?" },
  { role: "user", content: "It is 4711." },
];

const v1 = (more = {}) => new OpenAI({ baseURL: `${url}/openai/v1/`, apiKey: key, maxRetries: 0, ...more });
const classic = (more = {}) =>
  new AzureOpenAI({ endpoint: url, apiKey: key, apiVersion: "2024-10-21", maxRetries: 0, ...more });

async function withFault(action, act, more = {}) {
  const call = (method, body) =>
    fetch(`${control}/control/faults`, { method, body, headers: { "content-type": "application/json" } });
  assert.equal((await call("POST", JSON.stringify({ action, ...more }))).status, 201);
  try {
    return await act();
  } finally {
    await call("DELETE");
  }
}

const scenarios = {
  async answers() {
    for (const client of [v1(), classic(), new OpenAI({ baseURL: `${url}/v1`, apiKey: key })]) {
      const answer = await client.chat.completions.create({ model, messages });
      assert.ok(answer.choices[0].message.content);
      assert.ok(answer.usage.prompt_tokens > 0);
      assert.ok(answer._request_id);
    }
  },

  async streams() {
    for (const client of [v1(), classic()]) {
      const stream = await client.chat.completions.create({ model, messages, stream: true });
      let text = "";
      let finish;
      for await (const chunk of stream) {
        assert.equal(chunk.usage ?? null, null, "usage nobody asked for");
        text += chunk.choices[0]?.delta?.content ?? "";
        finish = chunk.choices[0]?.finish_reason ?? finish;
      }
      assert.ok(text.trim() && finish);
    }
  },

  async usageComesLastWhenAskedFor() {
    const asked = { model, messages, stream: true, stream_options: { include_usage: true } };
    const chunks = [];
    for await (const chunk of await v1().chat.completions.create(asked)) chunks.push(chunk);
    assert.ok(chunks.at(-1).usage.prompt_tokens > 0);
  },

  async embeddings() {
    const asked = { model: "embed", input: "one", dimensions: 8 };
    const decoded = await v1().embeddings.create(asked);
    const numbers = await v1().embeddings.create({ ...asked, encoding_format: "float" });
    decoded.data[0].embedding.forEach((value, at) => {
      assert.ok(Math.abs(value - numbers.data[0].embedding[at]) < 1e-6);
    });
  },

  async responses() {
    const asked = { model, instructions: "Be brief.", input: "Where is my parcel?" };
    for (const client of [v1(), classic({ apiVersion: "2025-04-01-preview" })]) {
      const first = await client.responses.create(asked);
      assert.ok(first.output_text && first.usage.input_tokens > 0);
      const more = { model, input: "And then?", previous_response_id: first.id, stream: true };
      const events = [];
      for await (const event of await client.responses.create(more)) events.push(event);
      assert.equal(events[0].type, "response.created");
      assert.equal(events.at(-1).type, "response.completed");
      assert.ok(events.at(-1).response.usage.input_tokens > 0);
    }
    const events = [];
    await withFault({ cut: { after_chunks: 8 } }, async () => {
      for await (const event of await v1().responses.create({ ...asked, stream: true })) events.push(event);
    });
    assert.equal(events.at(-1).type, "error");
    assert.equal(events.at(-1).code, "stream_broken");
  },

  async models() {
    const names = [];
    for await (const listed of v1().models.list()) names.push(listed.id);
    assert.ok(names.includes(model) && names.includes("embed"), names);
  },

  async failoverIsInvisible() {
    const ask = () => v1().chat.completions.create({ model, messages });
    assert.ok((await withFault({ preset: "unavailable" }, ask, { account: "a" })).choices.length);
  },

  async errors() {
    const ask = (client, more = {}) => client.chat.completions.create({ model, messages, ...more });
    await assert.rejects(ask(v1(), { model: "nobody" }), NotFoundError);
    await assert.rejects(ask(v1({ apiKey: "wrong" })), AuthenticationError);
    const filtered = [{ role: "user", content: "simulator:filter-hate" }];
    await assert.rejects(ask(v1(), { messages: filtered }), { status: 400, code: "content_filter" });
  },

  async aBrokenStreamThrows() {
    const read = async () => {
      for await (const _ of await v1().chat.completions.create({ model, messages, stream: true }));
    };
    await withFault({ cut: { after_chunks: 4 } }, () => assert.rejects(read(), APIError));
  },

  // Last: the fleet rests for a while after it.
  async throttling() {
    const ask = () => assert.rejects(v1().chat.completions.create({ model, messages }), RateLimitError);
    await withFault({ preset: "token_limit" }, ask);
  },
};

for (const [name, scenario] of Object.entries(scenarios)) {
  await scenario();
  console.log("ok", name);
}
