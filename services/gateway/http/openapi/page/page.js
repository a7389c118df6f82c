// What agents there are, by family, and the method that the address names.

import { element, prose } from "./dom.js";
import { methodPage } from "./method.js";

const KEPT = "tandem.token";
const at = (id) => document.getElementById(id);
// By path, such as /api/utility-toolbox/MeasureText.
const operations = new Map();
let contents = null;

function token() {
  return at("token").value.trim();
}

function say(text, isBad = false) {
  at("state").textContent = text;
  at("state").className = isBad ? "bad" : "";
}

async function load() {
  const headers = token() ? { authorization: `Bearer ${token()}` } : {};
  try {
    const answer = await fetch("/openapi.json", { headers });
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      say(answer.status === 401 ? "The fleet's token is needed." : problem.detail || "", true);
      if (!contents) showWelcome();
      return;
    }
    contents = await answer.json();
  } catch {
    say("The gateway does not answer.", true);
    return;
  }
  operations.clear();
  for (const [path, ways] of Object.entries(contents.paths)) {
    if (ways.post) operations.set(path, ways.post);
  }
  say(`${contents.tags.length} agents, ${operations.size} methods`);
  showAgents();
  showChosen();
}

function showAgents() {
  const wanted = at("search").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const families = new Map();
  for (const tag of contents.tags) {
    const methods = [...operations].filter(([path, one]) =>
      one.tags[0] === tag.name && wanted.every((word) => isAbout(word, path, one, tag)));
    if (methods.length) {
      const family = tag["x-tandem-family"];
      families.set(family, [...(families.get(family) || []), agent(tag, methods, wanted.length > 0)]);
    }
  }
  const shown = [...families].sort().flatMap(([family, agents]) =>
    [element("h2", {}, family), ...agents]);
  at("agents").replaceChildren(...(shown.length ? shown : [element("p", {}, "Nothing of that name.")]));
}

function isAbout(word, path, operation, tag) {
  const texts = [path, operation.summary, tag["x-tandem-contract"], ...(tag["x-tandem-aliases"] || [])];
  return texts.some((text) => String(text).toLowerCase().includes(word));
}

function agent(tag, methods, isOpen) {
  const chosen = chosenPath();
  const links = methods.map(([path, operation]) => element("a", {
    href: `#${path.replace("/api", "")}`,
    title: operation.summary,
    "aria-current": path === chosen ? "page" : undefined,
  }, path.split("/").pop()));
  const holds = methods.some(([path]) => path === chosen);
  const aliases = (tag["x-tandem-aliases"] || []).join(", ");
  return element("details", { open: isOpen || holds },
    element("summary", { title: aliases ? `also ${aliases}` : undefined }, tag.name), ...links);
}

function chosenPath() {
  return `/api${decodeURIComponent(location.hash.slice(1))}`;
}

function showChosen() {
  const path = chosenPath();
  const operation = operations.get(path);
  if (operation) {
    at("main").replaceChildren(methodPage(path, operation, contents.components.schemas, token));
    document.title = `${path.replace("/api/", "")} · Tandem`;
  } else {
    showWelcome();
  }
}

function showWelcome() {
  const parts = [element("h1", {}, "The agents of this fleet")];
  parts.push(prose(contents ? contents.info.description
    : "Every method of every agent, to read about and to try. Paste the fleet's token above: `./tandem token` prints it. It is kept in this tab alone.",
  { class: "about" }));
  for (const tag of contents?.tags || []) {
    parts.push(element("h2", {}, tag.name), prose(tag.description || "", { class: "about" }));
  }
  at("main").replaceChildren(...parts);
  document.title = "Tandem: agents";
}

at("token").value = sessionStorage.getItem(KEPT) || "";
at("token").addEventListener("change", () => {
  sessionStorage.setItem(KEPT, token());
  load();
});
at("search").addEventListener("input", () => contents && showAgents());
addEventListener("hashchange", () => {
  if (contents) {
    showAgents();
    showChosen();
    at("main").focus();
  }
});
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, textarea, select")) {
    event.preventDefault();
    at("search").focus();
  }
});
load();
