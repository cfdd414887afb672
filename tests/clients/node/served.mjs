// Does one thing for each line of stdin, {"do", "on"}, and prints one JSON line about it. Stays until stdin ends, so that
// what ends at the other side was ended by the client and not by its process.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { createInterface } from "node:readline";

const [url, prompt] = process.argv.slice(2);
const openai = new OpenAI({ apiKey: "not-a-key", baseURL: `${url}/v1`, maxRetries: 0, timeout: 20000 });
const anthropic = new Anthropic({ apiKey: "not-a-key", baseURL: url, maxRetries: 0, timeout: 20000 });
const model = "gpt-4o-mini";
const messages = [{ role: "user", content: prompt }];

const asks = {
  chat: (more, options) => openai.chat.completions.create({ model, messages, ...more }, options),
  responses: (more, options) => openai.responses.create({ model, input: prompt, ...more }, options),
  messages: (more, options) => anthropic.messages.create({ model, messages, max_tokens: 50, ...more }, options),
};

const listed = async (pages) => {
  const ids = [];
  for await (const one of pages) ids.push(one.id);
  return ids;
};

const things = {
  // The first event has come and more would: the caller has seen enough.
  async leaveStream(on) {
    const controller = new AbortController();
    const stream = await asks[on]({ stream: true }, { signal: controller.signal });
    let seen = 0;
    for await (const _ of stream) {
      seen += 1;
      controller.abort();
    }
    return { seen };
  },
  async leaveWhole(on) {
    const controller = new AbortController();
    const asking = asks[on]({}, { signal: controller.signal });
    setTimeout(() => controller.abort(), 300);
    await asking;
    return {};
  },
  async ask(on) {
    const answer = await asks[on]({});
    return { id: answer.id, model: answer.model };
  },
  async models() {
    return { openai: await listed(openai.models.list()), anthropic: await listed(anthropic.models.list()) };
  },
  async count() {
    return await anthropic.messages.countTokens({ model, messages });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: thing, on } = JSON.parse(line);
  let told;
  try {
    told = await things[thing](on);
  } catch (error) {
    told = { error: error.constructor.name, status: error.status ?? null, retryAfter: error.headers?.get("retry-after") ?? null };
  }
  console.log(JSON.stringify(told));
}
