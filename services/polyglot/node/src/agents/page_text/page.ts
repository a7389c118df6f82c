// What a reader makes of a page: a pure function, which runs on a thread beside the host.
import { parseFragment } from "parse5";

import { CHARS_MIN, articleOf } from "./article.js";
import { decoded } from "./charset.js";
import { Links } from "./links.js";
import type { Link } from "./links.js";
import { headOf } from "./head.js";
import { TextWriter } from "./text.js";
import { TooDeep, attribute, isHidden, parsed, visited } from "./tree.js";
import type { Element } from "./tree.js";

export interface Asked {
  readonly content: Uint8Array;
  /** By the Encoding Standard's name; empty where nobody said one. */
  readonly charset: string;
  readonly baseUrl: string;
  readonly wantsArticle: boolean;
  readonly linksMax: number;
  readonly textCharsMax: number;
}

export interface PageRead {
  readonly title: string;
  readonly language: string;
  readonly description: string;
  readonly text: string;
  readonly textTruncated: boolean;
  readonly isArticle: boolean;
  readonly links: readonly Link[];
  readonly linksCount: number;
  readonly charset: string;
}

/** A page, or how deep one is nested that is not read. */
export type Read = PageRead | { readonly depthMax: number };

export function readPage(asked: Asked): Read {
  try {
    return read(asked);
  } catch (error) {
    if (error instanceof TooDeep) return { depthMax: error.depthMax };
    throw error;
  }
}

function read(asked: Asked): PageRead {
  const [markup, charset] = decoded(asked.content, asked.charset);
  const document = parsed(markup);
  const head = headOf(document);
  const links = new Links(asked.baseUrl, head.base, asked.linksMax);
  const whole = new TextWriter(asked.textCharsMax);
  visited(document, {
    enters: (element) => !isHidden(element),
    entered: (element) => {
      if (element.tagName === "a" || element.tagName === "area") links.take(element);
      whole.enter(element);
    },
    left: (element) => whole.leave(element),
    text: (value) => whole.take(value),
  });
  // Within a text that short nothing stands out, and looking for it takes ten times as long as
  // reading.
  const article =
    asked.wantsArticle && whole.text.length >= CHARS_MIN ? articleOf(document) : undefined;
  const text = article === undefined ? undefined : textOf(article, asked.textCharsMax);
  const shown = text?.text ? text : whole;
  return {
    title: head.title,
    language: head.language,
    description: head.description,
    text: shown.text,
    textTruncated: shown.isTruncated,
    isArticle: shown !== whole,
    links: links.found,
    linksCount: links.count,
    charset,
  };
}

/** Of markup that was picked out of a page. */
function textOf(markup: string, charsMax: number): TextWriter {
  const written = new TextWriter(charsMax);
  visited(parseFragment(markup), {
    enters: (element: Element) => !isHidden(element) && attribute(element, "role") !== "navigation",
    entered: (element) => written.enter(element),
    left: (element) => written.leave(element),
    text: (value) => written.take(value),
  });
  return written;
}
