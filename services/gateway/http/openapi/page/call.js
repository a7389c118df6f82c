// One call: asks, and shows the answer as it comes.

import { element, pretty } from "./dom.js";

const EVENTS = "text/event-stream";
const SHOWN_MAX = 1000;

// Shows into `node`; returns when the answer has ended or `signal` has.
export async function ask(path, { token, body, type, timeout, signal }, node) {
  const began = performance.now();
  const since = () => `${((performance.now() - began) / 1000).toFixed(3)} s`;
  const state = element("p", { class: "status" }, "asking…");
  node.replaceChildren(state);
  const headers = { "content-type": type };
  if (token) headers.authorization = `Bearer ${token}`;
  if (timeout) headers["x-tandem-timeout"] = timeout;
  try {
    const answer = await fetch(path, { method: "POST", headers, body, signal });
    const said = `${answer.status} ${answer.statusText}`;
    state.className = answer.ok ? "status good" : "status bad";
    state.textContent = said;
    if ((answer.headers.get("content-type") || "").startsWith(EVENTS)) {
      const count = await stream(answer.body, node, since);
      state.textContent = `${said}, ${count} events in ${since()}`;
    } else {
      const text = await answer.text();
      state.textContent = `${said}, ${since()}, ${new Blob([text]).size} bytes`;
      node.append(element("pre", { "data-answer": true }, pretty(text)));
    }
  } catch (error) {
    state.className = "status bad";
    const why = signal.aborted ? "ended by you" : String(error.message || error);
    state.textContent = `${why}, after ${since()}`;
  }
}

async function stream(body, node, since) {
  let count = 0;
  for await (const event of events(body)) {
    if (event.name === "end") break;
    count += 1;
    node.append(element("div", { class: "event" },
      element("time", {}, since()),
      element("pre", { class: event.name === "error" ? "bad" : "", "data-answer": true },
        pretty(event.data))));
    if (node.childElementCount > SHOWN_MAX) node.children[1].remove();
  }
  return count;
}

// Server-sent events of a body, as the HTML standard reads them.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { name: "message", data: [] };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r\n|\n|\r/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (event.data.length) yield { name: event.name, data: event.data.join("\n") };
        event = { name: "message", data: [] };
      } else if (line.startsWith("data:")) {
        event.data.push(line.slice(5).replace(/^ /, ""));
      } else if (line.startsWith("event:")) {
        event.name = line.slice(6).trim();
      }
    }
  }
}
