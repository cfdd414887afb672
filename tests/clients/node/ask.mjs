// Reads {"url", "openaiPath", "anthropicPath", "prompt", "system", "tool", "header",
// "jobs": [{"speaker", "form", "fault"}]} from stdin, asks each, and prints one JSON outcome a line, in the same form
// as tests/clients/outcome.py.
import Anthropic from "@anthropic-ai/sdk";
import * as aws from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import OpenAI from "openai";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { url, openaiPath, anthropicPath, prompt, system, tool, header, jobs } = JSON.parse(Buffer.concat(chunks).toString());

const empty = () => ({ text: "", tools: [], input_tokens: null, output_tokens: null, finish: null, error: null, status: null, message: "" });

async function openaiChat(form, headers) {
  const client = new OpenAI({ apiKey: "not-a-key", baseURL: `${url}${openaiPath}`, maxRetries: 0, timeout: 20000, defaultHeaders: headers });
  const asked = { model: "gpt-4o-mini", messages: [{ role: "system", content: system }, { role: "user", content: prompt }], max_tokens: 200 };
  if (form.includes("tool")) {
    asked.tools = [{ type: "function", function: { name: tool.name, description: tool.description, parameters: tool.parameters } }];
    asked.tool_choice = "required";
  }
  const answer = form.includes("stream")
    ? await client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } }).finalChatCompletion()
    : await client.chat.completions.create(asked);
  const choice = answer.choices[0];
  return {
    ...empty(),
    text: choice.message.content ?? "",
    tools: (choice.message.tool_calls ?? []).map((c) => ({ name: c.function.name, arguments: JSON.parse(c.function.arguments) })),
    input_tokens: answer.usage?.prompt_tokens ?? null,
    output_tokens: answer.usage?.completion_tokens ?? null,
    finish: choice.finish_reason,
  };
}

async function openaiResponses(form, headers) {
  const client = new OpenAI({ apiKey: "not-a-key", baseURL: `${url}${openaiPath}`, maxRetries: 0, timeout: 20000, defaultHeaders: headers });
  const asked = { model: "gpt-4o-mini", instructions: system, input: prompt, max_output_tokens: 200 };
  if (form.includes("tool")) {
    asked.tools = [{ type: "function", name: tool.name, description: tool.description, parameters: tool.parameters, strict: false }];
    asked.tool_choice = "required";
  }
  const answer = form.includes("stream") ? await client.responses.stream(asked).finalResponse() : await client.responses.create(asked);
  const parts = answer.output.flatMap((item) => (item.type === "message" ? item.content : []));
  return {
    ...empty(),
    text: parts.map((part) => part.text ?? "").join(""),
    tools: answer.output.filter((item) => item.type === "function_call").map((c) => ({ name: c.name, arguments: JSON.parse(c.arguments) })),
    input_tokens: answer.usage.input_tokens,
    output_tokens: answer.usage.output_tokens,
    finish: answer.status,
  };
}

async function anthropicMessages(form, headers) {
  const client = new Anthropic({ apiKey: "not-a-key", baseURL: `${url}${anthropicPath}`, maxRetries: 0, timeout: 20000, defaultHeaders: headers });
  const asked = { model: "claude-haiku-4-5", max_tokens: 200, system, messages: [{ role: "user", content: prompt }] };
  if (form.includes("tool")) {
    asked.tools = [{ name: tool.name, description: tool.description, input_schema: tool.parameters }];
    asked.tool_choice = { type: "any" };
  }
  const answer = form.includes("stream") ? await client.messages.stream(asked).finalMessage() : await client.messages.create(asked);
  return {
    ...empty(),
    text: answer.content.filter((b) => b.type === "text").map((b) => b.text).join(""),
    tools: answer.content.filter((b) => b.type === "tool_use").map((b) => ({ name: b.name, arguments: b.input })),
    input_tokens: answer.usage.input_tokens,
    output_tokens: answer.usage.output_tokens,
    finish: answer.stop_reason,
  };
}

function bedrockClient(headers, http1) {
  const client = new aws.BedrockRuntimeClient({
    region: "us-east-1",
    endpoint: `${url}/bedrock`,
    credentials: { accessKeyId: "not-a-key-id", secretAccessKey: "not-a-key" },
    maxAttempts: 1,
    // Its default is HTTP/2.
    ...(http1 ? { requestHandler: new NodeHttpHandler() } : {}),
  });
  client.middlewareStack.add(
    (next) => (args) => {
      Object.assign(args.request.headers, headers);
      return next(args);
    },
    { step: "build" },
  );
  return client;
}

async function bedrockConverse(form, headers, http1 = false) {
  const client = bedrockClient(headers, http1);
  const asked = {
    modelId: "anthropic.claude-3-haiku-20240307-v1:0",
    system: [{ text: system }],
    messages: [{ role: "user", content: [{ text: prompt }] }],
    inferenceConfig: { maxTokens: 200 },
  };
  if (form.includes("tool")) {
    asked.toolConfig = {
      tools: [{ toolSpec: { name: tool.name, description: tool.description, inputSchema: { json: tool.parameters } } }],
      toolChoice: { any: {} },
    };
  }
  const told = empty();
  if (!form.includes("stream")) {
    const answer = await client.send(new aws.ConverseCommand(asked));
    const content = answer.output.message.content;
    told.text = content.map((block) => block.text ?? "").join("");
    told.tools = content.filter((b) => b.toolUse).map((b) => ({ name: b.toolUse.name, arguments: b.toolUse.input }));
    told.finish = answer.stopReason;
    told.input_tokens = answer.usage.inputTokens;
    told.output_tokens = answer.usage.outputTokens;
    return told;
  }
  const answer = await client.send(new aws.ConverseStreamCommand(asked));
  let written = "";
  for await (const event of answer.stream) {
    if (event.contentBlockStart?.start?.toolUse) told.tools.push({ name: event.contentBlockStart.start.toolUse.name });
    told.text += event.contentBlockDelta?.delta?.text ?? "";
    written += event.contentBlockDelta?.delta?.toolUse?.input ?? "";
    if (event.messageStop) told.finish = event.messageStop.stopReason;
    if (event.metadata) {
      told.input_tokens = event.metadata.usage.inputTokens;
      told.output_tokens = event.metadata.usage.outputTokens;
    }
  }
  if (told.tools.length) told.tools[0].arguments = JSON.parse(written);
  return told;
}

async function bedrockInvoke(form, headers) {
  const client = bedrockClient(headers, true);
  const body = { anthropic_version: "bedrock-2023-05-31", max_tokens: 200, system, messages: [{ role: "user", content: prompt }] };
  if (form.includes("tool")) {
    body.tools = [{ name: tool.name, description: tool.description, input_schema: tool.parameters }];
    body.tool_choice = { type: "any" };
  }
  const asked = { modelId: "anthropic.claude-3-haiku-20240307-v1:0", contentType: "application/json", body: JSON.stringify(body) };
  const told = empty();
  if (!form.includes("stream")) {
    const answer = JSON.parse(new TextDecoder().decode((await client.send(new aws.InvokeModelCommand(asked))).body));
    told.text = answer.content.filter((b) => b.type === "text").map((b) => b.text).join("");
    told.tools = answer.content.filter((b) => b.type === "tool_use").map((b) => ({ name: b.name, arguments: b.input }));
    told.finish = answer.stop_reason;
    told.input_tokens = answer.usage.input_tokens;
    told.output_tokens = answer.usage.output_tokens;
    return told;
  }
  const answer = await client.send(new aws.InvokeModelWithResponseStreamCommand(asked));
  let written = "";
  for await (const event of answer.body) {
    const piece = JSON.parse(new TextDecoder().decode(event.chunk.bytes));
    if (piece.type === "content_block_start" && piece.content_block.type === "tool_use") told.tools.push({ name: piece.content_block.name });
    told.text += piece.delta?.text ?? "";
    written += piece.delta?.partial_json ?? "";
    if (piece.type === "message_delta") {
      told.finish = piece.delta.stop_reason;
      told.input_tokens = piece.usage.input_tokens;
      told.output_tokens = piece.usage.output_tokens;
    }
  }
  if (told.tools.length) told.tools[0].arguments = JSON.parse(written);
  return told;
}

const speakers = {
  openaiChat,
  openaiResponses,
  anthropicMessages,
  bedrockConverse,
  bedrockConverseHttp1: (form, headers) => bedrockConverse(form, headers, true),
  bedrockInvoke,
};

for (const { speaker, form, fault } of jobs) {
  let told;
  try {
    told = await speakers[speaker](form, fault ? { [header]: fault } : {});
  } catch (error) {
    const status = error.status ?? error.$metadata?.httpStatusCode ?? null;
    told = { ...empty(), error: error.$fault || error.name !== "Error" ? `${error.name === "Error" ? error.constructor.name : error.name}` : error.constructor.name, status, message: String(error.message).slice(0, 300) };
  }
  console.log(JSON.stringify(told));
}
// Connections that HTTP/2 keeps open would keep the process.
process.exit(0);
