// The part of a page that a reader came for, as Firefox's reader view finds it.
import { Readability } from "@mozilla/readability";
import { parseHTML } from "linkedom";
import { defaultTreeAdapter, serialize } from "parse5";
import type { DefaultTreeAdapterTypes as Tree } from "parse5";

import { collapsed, isHidden } from "./tree.js";

// Beyond that a page is a list, a book or an attack, and finding its best part takes seconds.
const [MARKUP_CHARS_MAX, ELEMENTS_MAX, DEPTH_MAX] = [3_000_000, 15_000, 200];
/** Of the shortest article. */
export const CHARS_MIN = 250;

/** Its markup; undefined where no part stands out. Takes what is hidden out of the tree. */
export function articleOf(document: Tree.Document): string | undefined {
  const { elements, depth } = pruned(document);
  if (elements > ELEMENTS_MAX || depth > DEPTH_MAX) return undefined;
  const markup = serialize(document);
  if (markup.length > MARKUP_CHARS_MAX) return undefined;
  // Read again by the small DOM that the reader view works on: what is left holds no script.
  const { document: copy } = parseHTML(markup);
  const found = new Readability(copy as never, {
    disableJSONLD: true,
    maxElemsToParse: ELEMENTS_MAX,
  }).parse();
  const chars = collapsed(found?.textContent ?? "").length;
  return found?.content && chars >= CHARS_MIN ? found.content : undefined;
}

/** What is left: how many elements, and how deep. */
function pruned(document: Tree.Document): { elements: number; depth: number } {
  const waiting: Array<[Tree.ParentNode, number]> = [[document, 0]];
  const left = { elements: 0, depth: 0 };
  for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
    const [parent, depth] = one;
    left.depth = Math.max(left.depth, depth);
    for (const child of [...parent.childNodes]) {
      if (defaultTreeAdapter.isCommentNode(child)) defaultTreeAdapter.detachNode(child);
      if (!defaultTreeAdapter.isElementNode(child)) continue;
      if (isHidden(child) && child.tagName !== "head") defaultTreeAdapter.detachNode(child);
      else waiting.push([child, depth + 1]);
      left.elements += 1;
    }
  }
  return left;
}
