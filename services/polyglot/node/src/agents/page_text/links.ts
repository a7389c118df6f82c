// The links of a page: absolute, each address once.
import { attribute, collapsed, cut, lineOf, visited } from "./tree.js";
import type { Element } from "./tree.js";

const [URL_CHARS_MAX, TEXT_CHARS_MAX] = [4096, 300];
const UNVOUCHED = new Set(["nofollow", "ugc", "sponsored"]);

export interface Link {
  readonly url: string;
  readonly text: string;
  readonly title: string;
  readonly nofollow: boolean;
  readonly linksCount: number;
}

export class Links {
  private readonly base: string | undefined;
  private readonly known = new Map<string, Link>();
  private readonly beyond = new Set<string>();

  /** `own` is what the page itself says its links start at. */
  constructor(
    baseUrl: string,
    own: string,
    private readonly linksMax: number,
  ) {
    this.base = (own && addressOf(own, baseUrl || undefined)) || baseUrl || undefined;
  }

  /** In the order of their first places. */
  get found(): Link[] {
    return [...this.known.values()];
  }

  /** Addresses, also those beyond the limit. */
  get count(): number {
    return this.known.size + this.beyond.size;
  }

  take(element: Element): void {
    const url = addressOf(attribute(element, "href"), this.base);
    if (url === undefined) return;
    const before = this.known.get(url);
    if (before === undefined && this.known.size >= this.linksMax) {
      this.beyond.add(url);
      return;
    }
    const rel = attribute(element, "rel").toLowerCase().split(/\s+/);
    const nofollow = rel.some((one) => UNVOUCHED.has(one));
    this.known.set(url, {
      url,
      text: before?.text || textOf(element),
      title: before?.title || cut(collapsed(attribute(element, "title")), TEXT_CHARS_MAX),
      nofollow: nofollow && (before?.nofollow ?? true),
      linksCount: (before?.linksCount ?? 0) + 1,
    });
  }
}

/** Undefined for what is no address of a page. */
function addressOf(said: string, base: string | undefined): string | undefined {
  const href = said.trim();
  if (!href || href.startsWith("#") || href.length > URL_CHARS_MAX || !URL.canParse(href, base))
    return undefined;
  const url = new URL(href, base);
  if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
  url.hash = "";
  return url.href.length > URL_CHARS_MAX ? undefined : url.href;
}

/** Its words, or what stands in for its first picture. */
function textOf(element: Element): string {
  const words = lineOf(element, TEXT_CHARS_MAX) || collapsed(attribute(element, "aria-label"));
  if (words) return cut(words, TEXT_CHARS_MAX);
  let alt = attribute(element, "alt");
  visited(element, {
    enters: (inner) => {
      if (inner.tagName === "img") alt ||= attribute(inner, "alt");
      return !alt;
    },
    entered: () => undefined,
    left: () => undefined,
    text: () => undefined,
  });
  return cut(collapsed(alt), TEXT_CHARS_MAX);
}
