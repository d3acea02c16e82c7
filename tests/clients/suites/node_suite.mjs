// npm's openai and ai. Run by node in a folder that has both; the URL is the first argument.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , url, packages] = process.argv;
const require = createRequire(pathToFileURL(`${packages}/package.json`));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { default: OpenAI } = await load("openai");
const { generateText, streamText } = await load("ai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");

const messages = [{ role: "user", content: "hello" }];
const client = new OpenAI({ baseURL: `${url}/engines/v1`, apiKey: "none", maxRetries: 0 });

const whole = await client.chat.completions.create({ model: "pilot", messages });
assert.ok(whole.choices[0].message.content);

let text = "";
const stream = await client.chat.completions.create({ model: "pilot", messages, stream: true });
for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
assert.ok(text);

const response = await client.responses.create({ model: "pilot", input: "hello" });
assert.ok(response.output_text);
const kinds = [];
for await (const event of client.responses.stream({ model: "pilot", input: "hello" })) {
  kinds.push(event.type);
}
assert.equal(kinds.at(-1), "response.completed");
const vectors = await client.embeddings.create({ model: "test/embed", input: "a b" });
assert.ok(vectors.data[0].embedding.length > 1);
await assert.rejects(
  client.chat.completions.create({ model: "no-such-model", messages }),
  OpenAI.NotFoundError,
);

const stoker = createOpenAICompatible({ name: "stoker", baseURL: `${url}/v1` });
assert.ok((await generateText({ model: stoker("pilot"), prompt: "hello" })).text);
let said = "";
for await (const part of streamText({ model: stoker("pilot"), prompt: "hello" }).textStream) {
  said += part;
}
assert.ok(said);
console.log("all well");
