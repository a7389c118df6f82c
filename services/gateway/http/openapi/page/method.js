// One method: what it is, a form to ask it, and what came back.

import { ask } from "./call.js";
import { element, prose } from "./dom.js";
import { Form } from "./form.js";

export function methodPage(path, operation, schemas, token) {
  const content = operation.requestBody.content;
  const type = Object.keys(content)[0];
  const takesStream = type !== "application/json";
  const schema = content[type]["x-tandem-line"] || content[type].schema;
  const request = new Request(schema, schemas, takesStream);
  const timeout = element("input", { placeholder: operation["x-tandem-deadline"] || "no deadline", size: 8 });
  const result = element("section", { "aria-live": "polite" });
  const send = element("button", { type: "submit", class: "main" }, "Send");
  const stop = element("button", { type: "button", disabled: true }, "Stop");
  const wrong = element("p", { class: "bad", role: "alert" });
  let running = null;
  stop.addEventListener("click", () => running?.abort());

  async function submitted(event) {
    event.preventDefault();
    let body;
    try {
      body = request.body();
      wrong.textContent = "";
    } catch (error) {
      wrong.textContent = `The request is no JSON: ${error.message}`;
      return;
    }
    running?.abort();
    const mine = new AbortController();
    running = mine;
    stop.disabled = false;
    const asked = { token: token(), body, type, timeout: timeout.value.trim(), signal: mine.signal };
    await ask(path, asked, result);
    if (running === mine) stop.disabled = true;
  }

  const form = element("form", { onsubmit: submitted },
    element("h2", {}, takesStream ? "Requests, one a line" : "Request"),
    request.node, wrong,
    element("div", { class: "row" }, send, stop,
      element("label", { class: "token" }, "Wait at most", timeout),
      copying(path, request, type)));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  return element("article", {},
    element("h1", {}, path.replace("/api/", "")),
    prose(operation.description, { class: "about" }),
    facts(operation), form,
    element("h2", {}, "Answer"), result, reasons(operation));
}

// The request as a form or as JSON: whichever is shown is what is sent.
class Request {
  constructor(schema, schemas, takesStream) {
    this.form = new Form(schemas, () => {});
    this.schema = schema;
    this.takesStream = takesStream;
    this.place = element("div");
    this.text = element("textarea", { rows: 8, spellcheck: "false", "aria-label": "request as JSON" });
    const tab = (name, show) =>
      element("button", { type: "button", role: "tab", onclick: show }, name);
    this.tabs = takesStream ? [] : [
      tab("Form", () => this.showForm(JSON.parse(this.text.value || "{}"))),
      tab("JSON", () => this.showText(this.fields.value())),
    ];
    this.node = element("div", {},
      element("div", { class: "row tabs", role: "tablist" }, ...this.tabs), this.place);
    if (takesStream) {
      this.text.value = "{}\n";
      this.place.append(this.text);
    } else {
      this.showForm({});
    }
  }

  showForm(value) {
    this.fields = this.form.of(this.schema, value);
    this.show(0, this.fields.node);
  }

  showText(value) {
    this.text.value = JSON.stringify(value, null, 2);
    this.show(1, this.text);
  }

  show(chosen, node) {
    this.isText = chosen === 1;
    this.tabs.forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(at === chosen));
      tab.disabled = at === chosen;
    });
    this.place.replaceChildren(node);
  }

  // Throws where it is no JSON.
  body() {
    if (this.takesStream) {
      const lines = this.text.value.split("\n").filter((line) => line.trim());
      return lines.map((line) => `${JSON.stringify(JSON.parse(line))}\n`).join("");
    }
    return JSON.stringify(this.isText ? JSON.parse(this.text.value || "{}") : this.fields.value());
  }
}

function facts(operation) {
  const known = [
    [operation["x-tandem-effect"], operation["x-tandem-effect"]],
    operation["x-tandem-repeatable"] ? ["", "safe to repeat"] : null,
    operation["x-tandem-deadline"] ? ["", `at most ${operation["x-tandem-deadline"]}`] : null,
    operation["x-tandem-asks-caller"] ? ["", "by its caller's rights"] : null,
    operation["x-tandem-tool"] ? ["", "a tool for language models"] : null,
    operation.responses["200"].content["text/event-stream"] ? ["", "answers as a stream"] : null,
    ["mono", operation["x-tandem-method"]],
  ];
  return element("ul", { class: "facts" },
    ...known.filter(Boolean).map(([kind, text]) => element("li", { class: kind || "" }, text)));
}

function reasons(operation) {
  const known = operation["x-tandem-reasons"] || [];
  if (!known.length) return null;
  return element("section", {}, element("h2", {}, "Fails with"),
    element("table", {}, ...known.map((one) => element("tr", {},
      element("td", {}, element("code", {}, one.reason)),
      element("td", {}, String(one.status)),
      element("td", {}, prose(one.about))))));
}

function copying(path, request, type) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const button = element("button", { type: "button" }, "Copy as curl");
  button.addEventListener("click", async () => {
    const parts = ["curl", "-H", '"authorization: Bearer $TOKEN"',
      "-H", quoted(`content-type: ${type}`), "--data-binary", quoted(request.body()),
      quoted(new URL(path, location.href).href)];
    await navigator.clipboard.writeText(parts.join(" "));
    button.textContent = "Copied";
  });
  return button;
}
