// Elements, and nothing but text in them: what agents and contracts say is never markup.

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else if (value !== undefined && value !== null && value !== false) {
      made.setAttribute(key, value === true ? "" : String(value));
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A comment of a contract: what stands in backticks is code.
export function prose(text, properties = {}) {
  const parts = String(text || "").split("`");
  const isOdd = parts.length % 2 === 0;
  const children = parts.map((part, at) =>
    at % 2 && !(isOdd && at === parts.length - 1) ? element("code", {}, part) : part);
  return element("p", properties, ...children);
}

export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
