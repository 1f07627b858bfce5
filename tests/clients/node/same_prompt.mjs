// Sends the prompt of ../prompt.json once, through the official JavaScript client: tools first, and every text as a part.

import { readFileSync } from "node:fs";
import OpenAI from "openai";

const { EMBERWAY_URL: url, EMBERWAY_KEY: apiKey } = process.env;
const { tools, messages } = JSON.parse(readFileSync(new URL("../prompt.json", import.meta.url), "utf8"));
const inParts = ({ content, ...others }) => ({
  content: typeof content === "string" ? [{ type: "text", text: content }] : content,
  ...others,
});
const client = new OpenAI({ baseURL: `${url}/openai/v1/`, apiKey, maxRetries: 0 });
await client.chat.completions.create({ tools, messages: messages.map(inParts), model: "bot" });
