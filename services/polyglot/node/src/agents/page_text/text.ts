// The text of a page as lines and blocks, written while its tree is walked.
import { cut, visible } from "./tree.js";
import type { Element } from "./tree.js";

const BLOCKS = new Set(
  (
    "address article aside blockquote body center details div dl fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr " +
    "html legend main menu nav ol p pre section summary table tbody tfoot thead ul"
  ).split(" "),
);
const LINES = new Set("li tr dt dd option caption".split(" "));
const CELLS = new Set(["td", "th"]);
const [NOTHING, LINE, BLOCK] = [0, 1, 2];
const BREAKS = ["", "\n", "\n\n"];

export class TextWriter {
  private readonly parts: string[] = [];
  private chars = 0;
  private due = NOTHING;
  private hasGap = false;
  private isCellDue = false;
  private preformatted = 0;
  private isCut = false;

  constructor(private readonly charsMax: number) {}

  get text(): string {
    return this.parts.join("");
  }

  /** Whether there was more than there may be. */
  get isTruncated(): boolean {
    return this.isCut;
  }

  enter(element: Element): void {
    const { tagName } = element;
    if (tagName === "pre") this.preformatted += 1;
    if (tagName === "br") this.break(LINE);
    else this.around(tagName);
  }

  leave(element: Element): void {
    const { tagName } = element;
    if (tagName === "pre") this.preformatted -= 1;
    this.around(tagName);
    if (CELLS.has(tagName)) this.isCellDue = true;
  }

  take(value: string): void {
    const clean = visible(value);
    if (this.preformatted) {
      this.lines(clean);
      return;
    }
    const words = clean.replace(/[\s\u00a0]+/g, " ");
    if (words.startsWith(" ")) this.hasGap = true;
    const bare = words.trim();
    if (bare) this.write(bare);
    if (bare && words.endsWith(" ")) this.hasGap = true;
  }

  private around(tagName: string): void {
    if (BLOCKS.has(tagName)) this.break(BLOCK);
    else if (LINES.has(tagName)) this.break(LINE);
  }

  private lines(value: string): void {
    for (const [place, line] of value.split("\n").entries()) {
      if (place) this.break(LINE);
      if (line.trim()) this.write(line.trimEnd());
    }
  }

  private break(kind: number): void {
    this.due = Math.max(this.due, kind);
    this.hasGap = this.isCellDue = false;
  }

  private write(words: string): void {
    if (this.isCut) return;
    const before = this.due
      ? (BREAKS[this.due] ?? "")
      : this.isCellDue
        ? "\t"
        : this.hasGap
          ? " "
          : "";
    const whole = this.parts.length ? before + words : words;
    const kept = cut(whole, this.charsMax - this.chars);
    this.isCut = kept.length < whole.length;
    this.parts.push(kept);
    this.chars += kept.length;
    this.due = NOTHING;
    this.hasGap = this.isCellDue = false;
  }
}
