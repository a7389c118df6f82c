// What a page says about itself.
import { attribute, collapsed, cut, lineOf, visited } from "./tree.js";
import type { Element, Node } from "./tree.js";

const [TITLE_CHARS_MAX, DESCRIPTION_CHARS_MAX] = [500, 2000];
const LANGUAGE = /^[a-z]{1,8}(-[a-z0-9]{1,8}){0,4}$/i;

export interface Head {
  readonly title: string;
  readonly language: string;
  readonly description: string;
  readonly base: string;
}

export function headOf(document: Node): Head {
  const metas = new Map<string, string>();
  const found = { title: "", language: "", base: "" };
  const look = (element: Element) => {
    const { tagName } = element;
    if (tagName === "html") found.language ||= attribute(element, "lang").trim();
    else if (tagName === "title") found.title ||= lineOf(element, TITLE_CHARS_MAX);
    else if (tagName === "base") found.base ||= attribute(element, "href");
    else if (tagName === "meta") {
      const name = (attribute(element, "name") || attribute(element, "property")).toLowerCase();
      if (name && !metas.has(name)) metas.set(name, collapsed(attribute(element, "content")));
    }
    // A picture's title is not the page's.
    return tagName !== "svg" && tagName !== "template";
  };
  visited(document, {
    enters: look,
    entered: () => undefined,
    left: () => undefined,
    text: () => undefined,
  });
  return {
    title: found.title || cut(metas.get("og:title") ?? "", TITLE_CHARS_MAX),
    language: LANGUAGE.test(found.language) ? found.language : "",
    description: cut(
      metas.get("description") || metas.get("og:description") || "",
      DESCRIPTION_CHARS_MAX,
    ),
    base: found.base,
  };
}
