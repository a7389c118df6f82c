// Pages as trees, by the parser of the HTML standard: whatever the markup is like, browsers make
// the same of it.
import { defaultTreeAdapter, parse } from "parse5";
import type { DefaultTreeAdapterTypes as Tree } from "parse5";

export type Element = Tree.Element;
export type Node = Tree.Node;

// Browsers flatten what is deeper than 512. Some pages that never close their elements are; ten
// thousand is an attack.
const DEPTH_MAX = 2000;
// What no browser shows, or what is no text.
const UNSEEN = new Set(
  "script style noscript template iframe object embed svg math canvas audio video head select datalist textarea button noembed noframes dialog".split(
    " ",
  ),
);
const CONCEALED = /(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b/i;

/** The page is nested deeper than any that is meant for readers. */
export class TooDeep extends Error {
  readonly depthMax = DEPTH_MAX;
}

/** Throws TooDeep. */
export function parsed(markup: string): Tree.Document {
  let depth = 0;
  const treeAdapter = {
    ...defaultTreeAdapter,
    onItemPush: () => {
      depth += 1;
      if (depth > DEPTH_MAX) throw new TooDeep();
    },
    onItemPop: () => {
      depth -= 1;
    },
  };
  return parse(markup, { treeAdapter });
}

export function attribute(element: Element, name: string): string {
  return element.attrs.find((one) => one.name === name)?.value ?? "";
}

export function isHidden(element: Element): boolean {
  if (UNSEEN.has(element.tagName)) return true;
  return element.attrs.some(({ name, value }) => {
    if (name === "hidden") return true;
    if (name === "aria-hidden") return value.trim().toLowerCase() === "true";
    return name === "style" && CONCEALED.test(value);
  });
}

export interface Visitor {
  /** Whether to go into it. */
  readonly enters: (element: Element) => boolean;
  readonly entered: (element: Element) => void;
  readonly left: (element: Element) => void;
  readonly text: (value: string) => void;
}

/** Every node in its order. Without recursion, for a stack is shorter than a page may be deep. */
export function visited(root: Node, visitor: Visitor): void {
  const waiting: Array<{ node: Node; isLeft: boolean }> = [{ node: root, isLeft: false }];
  for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
    const { node, isLeft } = one;
    if (isLeft) {
      visitor.left(node as Element);
      continue;
    }
    if (defaultTreeAdapter.isTextNode(node)) visitor.text(node.value);
    if (defaultTreeAdapter.isElementNode(node)) {
      if (!visitor.enters(node)) continue;
      visitor.entered(node);
      waiting.push({ node, isLeft: true });
    }
    if (!("childNodes" in node)) continue;
    for (let place = node.childNodes.length - 1; place >= 0; place -= 1) {
      waiting.push({ node: node.childNodes[place] as Node, isLeft: false });
    }
  }
}

/** All text within, whether or not it is seen, in one line. */
export function lineOf(element: Element, charsMax: number): string {
  const parts: string[] = [];
  let chars = 0;
  visited(element, {
    enters: (inner) => chars < charsMax && (inner === element || !isHidden(inner)),
    entered: () => undefined,
    left: () => undefined,
    text: (value) => {
      if (chars < charsMax) parts.push(value);
      chars += value.length;
    },
  });
  return cut(collapsed(parts.join(" ")), charsMax);
}

/** One space for each run of white space; none at the ends, and nothing that is not for the eye. */
export function collapsed(text: string): string {
  return visible(text)
    .replace(/[\s\u00a0]+/g, " ")
    .trim();
}

/**
 * Without control characters, and without those that turn the direction of what stands around them.
 */
export function visible(text: string): string {
  return text.replace(
    /[\u0000-\u0008\u000b\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]/g,
    "",
  );
}

/** At most so many UTF-16 units, without half a character. */
export function cut(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  const last = text.charCodeAt(charsMax - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? charsMax - 1 : charsMax);
}
