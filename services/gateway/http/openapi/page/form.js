// A form for a JSON Schema: each field knows its value, or that it is left away (undefined).

import { element, prose } from "./dom.js";

let named = 0;

export class Form {
  constructor(schemas, changed) {
    this.schemas = schemas;
    this.changed = changed;
  }

  // {node, value()} for any schema; `given` is what to begin with.
  of(schema, given) {
    const known = this.resolved(schema);
    if (known.enum || known.const !== undefined) return this.choice(known, given);
    const kind = Array.isArray(known.type) ? known.type[0] : known.type;
    switch (kind) {
      case "object": return known.properties ? this.object(known, given) : this.json(given, "{}");
      case "array": return this.list(known, given);
      case "boolean": return this.choice({ enum: [true, false] }, given);
      case "integer":
      case "number": return this.number(known, given);
      case "string": return this.text(known, given);
      default: return this.json(given, "");
    }
  }

  resolved(schema) {
    if (!schema.$ref) return schema;
    const { $ref, ...beside } = schema;
    return { ...this.schemas[$ref.split("/").pop()], ...beside };
  }

  object(schema, given = {}) {
    const must = new Set(schema.required || []);
    const fields = Object.entries(schema.properties).map(([name, one]) =>
      [name, this.field(name, one, must.has(name), given?.[name])]);
    return {
      node: element("div", {}, ...fields.map(([, field]) => field.node)),
      value: () => {
        const found = fields.map(([name, field]) => [name, field.value()]);
        return Object.fromEntries(found.filter(([, value]) => value !== undefined));
      },
    };
  }

  // One field of an object. What holds others is made when somebody opens it: it may hold itself.
  field(name, schema, must, given) {
    const known = this.resolved(schema);
    const isOpen = must || given !== undefined;
    const label = element("div", { class: "label" },
      element("span", { class: "key" }, name),
      element("span", { class: "kind" }, kindOf(known)),
      must ? element("span", { class: "must" }, "required") : null);
    const node = element("div", { class: "field" }, label);
    if (schema.description || known.description) {
      node.append(prose(schema.description || known.description, { class: "said" }));
    }
    if (!(known.type === "object" && known.properties)) {
      const inner = this.of(schema, given);
      inner.node.setAttribute("aria-label", name);
      node.append(inner.node);
      return { node, value: inner.value };
    }
    let inner = null;
    const toggle = element("button", { type: "button", class: "small" });
    const set = (open, start) => {
      inner?.node.remove();
      inner = open ? this.of(schema, start) : null;
      if (inner) node.append(inner.node);
      toggle.textContent = open ? "leave away" : "fill in";
      toggle.setAttribute("aria-label", `${toggle.textContent} ${name}`);
    };
    toggle.addEventListener("click", () => { set(!inner); this.changed(); });
    set(isOpen, given);
    label.append(toggle);
    return { node, value: () => inner?.value() };
  }

  list(schema, given = []) {
    const items = [];
    const rows = element("div");
    const add = (value) => {
      const item = this.of(schema.items || {}, value);
      const row = element("div", { class: "item" }, item.node);
      items.push(item);
      row.append(element("button", {
        type: "button", class: "small", "aria-label": "remove this item",
        onclick: () => { items.splice(items.indexOf(item), 1); row.remove(); this.changed(); },
      }, "remove"));
      rows.append(row);
    };
    for (const value of Array.isArray(given) ? given : []) add(value);
    const more = element("button", {
      type: "button", class: "small", onclick: () => { add(); this.changed(); },
    }, "add an item");
    return {
      node: element("div", { role: "group" }, rows, more),
      value: () => {
        const found = items.map((item) => item.value()).filter((value) => value !== undefined);
        return items.length ? found : undefined;
      },
    };
  }

  choice(schema, given) {
    const values = schema.enum || [schema.const];
    const node = element("select", { onchange: this.changed }, element("option", { value: "" }, ""),
      ...values.map((value, at) =>
        element("option", { value: at, selected: value === given }, String(value))));
    return { node, value: () => (node.value === "" ? undefined : values[Number(node.value)]) };
  }

  number(schema, given) {
    const node = element("input", {
      inputmode: "decimal", value: given, oninput: this.changed, placeholder: schema.minimum,
    });
    // What is no number is sent as it is typed: the gateway says what is wrong with it.
    const read = (text) => (Number.isNaN(Number(text)) ? text : Number(text));
    return { node, value: () => (node.value.trim() === "" ? undefined : read(node.value)) };
  }

  text(schema, given) {
    const isLong = !schema.format && !schema.pattern && !(schema.maxLength <= 256);
    const node = element(isLong ? "textarea" : "input", {
      rows: isLong ? 2 : undefined, spellcheck: "false", oninput: this.changed,
      placeholder: schema.pattern || PLACES[schema.format],
    });
    node.value = given ?? "";
    return { node, value: () => (node.value === "" ? undefined : node.value) };
  }

  // Maps, and what may be anything: as JSON.
  json(given, empty) {
    const node = element("textarea", { rows: 2, placeholder: `JSON ${empty}`, oninput: this.changed });
    node.value = given === undefined ? "" : JSON.stringify(given);
    node.id = `json-${(named += 1)}`;
    return { node, value: () => (node.value.trim() === "" ? undefined : JSON.parse(node.value)) };
  }
}

const PLACES = { "date-time": "2026-01-31T12:00:00Z", int64: "a whole number" };

function kindOf(schema) {
  if (schema.enum) return "one of";
  if (schema.type === "array") return "list";
  if (schema.format) return schema.format;
  if (schema.contentEncoding) return schema.contentEncoding;
  return Array.isArray(schema.type) ? schema.type[0] : schema.type || "JSON";
}
