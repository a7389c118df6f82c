// What OpenAI's own client for Node makes of our answers, as JSON: one field for each thing that it
// can do. OPENAI_BASE_URL and OPENAI_API_KEY say where and as whom.
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0 });
const messages = [{ role: "user", content: "how far is naïve 🪿" }];
const parameters = { type: "object", properties: { of: { type: "string" } } };
const tools = ["area", "age"].map((name) => ({ type: "function", function: { name, parameters } }));
const model = "script/words";
const json_schema = {
  name: "answer",
  schema: { type: "object", properties: { far: { type: "string" } } },
};
const chat = client.chat.completions;

const parts = {
  async chat() {
    const answer = await chat.create({ model, messages, seed: 1, stop: ["."] });
    return {
      content: answer.choices[0].message.content,
      finish_reason: answer.choices[0].finish_reason,
      model: answer.model,
      total_tokens: answer.usage.total_tokens,
      answerer: answer.answerer.backend,
    };
  },

  async head() {
    const { response } = await chat.create({ model, messages }).withResponse();
    return response.headers.get("x-tandem-backend");
  },

  async stream() {
    const stream_options = { include_usage: true };
    const events = await chat.create({ model, messages, stream: true, stream_options });
    let [content, finish_reason, total_tokens] = ["", null, null];
    for await (const one of events) {
      content += one.choices[0]?.delta.content ?? "";
      finish_reason = one.choices[0]?.finish_reason ?? finish_reason;
      total_tokens = one.usage?.total_tokens ?? total_tokens;
    }
    return { content, total_tokens, finish_reason };
  },

  async accumulated() {
    const message = await chat.stream({ model, messages, tools }).finalMessage();
    return message.tool_calls.map((one) => [one.id, one.function.name, one.function.arguments]);
  },

  async tools() {
    const answer = await chat.create({ model, messages, tools, tool_choice: "required" });
    const { message, finish_reason } = answer.choices[0];
    const answered = message.tool_calls.map((one) => ({
      role: "tool",
      tool_call_id: one.id,
      content: one.function.name,
    }));
    const more = await chat.create({ model, messages: [...messages, message, ...answered] });
    return {
      finish_reason,
      calls: message.tool_calls.map((one) => [one.function.name, one.function.arguments]),
      more: more.choices[0].message.content,
    };
  },

  async schema() {
    const response_format = { type: "json_schema", json_schema };
    const answer = await chat.create({ model, messages, response_format });
    return JSON.parse(answer.choices[0].message.content);
  },

  async cited() {
    const answer = await chat.create({ model: "quotes", messages });
    const { url_citation } = answer.choices[0].message.annotations[0];
    return [url_citation.url, url_citation.start_index, url_citation.end_index];
  },

  async front() {
    const answer = await chat.create({ model: "tandem", messages });
    const { content, annotations } = answer.choices[0].message;
    return [content, annotations[0].url_citation.url, answer.routing.route];
  },

  async texts() {
    const answer = await client.completions.create({ model, prompt: ["one", "two"], max_tokens: 9 });
    return answer.choices.map((one) => one.text);
  },

  async text_stream() {
    const events = await client.completions.create({ model, prompt: "one", stream: true });
    let text = "";
    for await (const one of events) text += one.choices[0].text;
    return text;
  },

  async vectors() {
    const embedder = { model: "some-words" };
    const packed = await client.embeddings.create({ ...embedder, input: ["a b", "c"] });
    const encoding_format = "float";
    const plain = await client.embeddings.create({ ...embedder, input: "a b", encoding_format });
    return [packed.data.map((one) => one.embedding), plain.data[0].embedding];
  },

  async models_listed() {
    const ids = [];
    for await (const one of client.models.list()) ids.push(one.id);
    return [ids, (await client.models.retrieve(model)).owned_by];
  },

  async failures() {
    const names = ["unknown", "refused", "unsupported", "long", "gone", "away", "busy", "broken"];
    const found = {};
    for (const name of names) found[name] = await failure(chat.create({ model: name, messages }));
    found.badly = await failure(chat.create({ model, messages: [] }));
    found.midst = await failure(read(chat.create({ model: "breaks", messages, stream: true })));
    found.nobody = await failure(client.withOptions({ apiKey: "no" }).models.list());
    found.absent = await failure(client.responses.create({ model, input: "x" }));
    const headers = { "x-tandem-timeout": "100ms" };
    found.late = await failure(chat.create({ model: "forever", messages }, { headers }));
    return found;
  },

  async again() {
    const again = { maxRetries: 1 };
    const found = await failure(chat.create({ model: "busy", messages }, again));
    await failure(chat.create({ model: "unsupported", messages }, again));
    return found;
  },

  async abort() {
    const events = await chat.create({ model: "forever", messages, stream: true });
    for await (const one of events) {
      events.controller.abort();
      return one.id;
    }
  },
};

async function read(stream) {
  for await (const _ of await stream);
}

async function failure(work) {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    return [error.constructor.name, error.status ?? null, error.code];
  }
  return null;
}

const found = {};
for (const [name, part] of Object.entries(parts)) found[name] = await part();
process.stdout.write(JSON.stringify(found));
