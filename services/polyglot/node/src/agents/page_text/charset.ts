// In which character set a page is written: by its byte order mark, by who sent it, by what it says
// itself, or by guess. The order and the names are those of the WHATWG Encoding Standard.

const HTML_TYPES = new Set(["", "text/html", "application/xhtml+xml"]);
// What a browser looks at for a declaration.
const SNIFFED_BYTES = 1024;
const SAID = /;\s*charset\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;"']*))/i;
const DECLARED = /<meta[^>]{0,512}?charset\s*=\s*["']?\s*([a-z0-9_:.-]{1,40})/i;
const XML_DECLARED = /^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([a-z0-9_:.-]{1,40})["']/i;

export function isHtmlType(contentType: string): boolean {
  return HTML_TYPES.has((contentType.split(";")[0] ?? "").trim().toLowerCase());
}

/** The standard's name for what the content type says; empty where it says nothing. */
export function charsetSaid(contentType: string): string {
  const [, double, single, bare] = SAID.exec(contentType) ?? [];
  const label = double ?? single ?? bare;
  return label ? (named(label) ?? "unknown") : "";
}

/**
 * The text, and the name of the character set that it was read in. What cannot be read becomes
 * U+FFFD.
 */
export function decoded(content: Uint8Array, said: string): [string, string] {
  const charset = marked(content) ?? (said || declared(content) || guessed(content));
  return [new TextDecoder(charset).decode(content), charset];
}

function marked(content: Uint8Array): string | undefined {
  const [first, second, third] = content;
  if (first === 0xef && second === 0xbb && third === 0xbf) return "utf-8";
  if (first === 0xfe && second === 0xff) return "utf-16be";
  if (first === 0xff && second === 0xfe) return "utf-16le";
  return undefined;
}

function declared(content: Uint8Array): string {
  const head = Buffer.from(content.subarray(0, SNIFFED_BYTES)).toString("latin1");
  const label = (XML_DECLARED.exec(head) ?? DECLARED.exec(head))?.[1];
  const name = label ? named(label) : undefined;
  // Who can read the declaration byte by byte is not reading UTF-16.
  return name?.startsWith("utf-16") ? "utf-8" : (name ?? "");
}

/**
 * Bytes that are UTF-8 are hardly ever anything else; the rest is what the web's old pages are
 * written in.
 */
function guessed(content: Uint8Array): string {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(content);
    return "utf-8";
  } catch {
    return "windows-1252";
  }
}

function named(label: string): string | undefined {
  try {
    return new TextDecoder(label.trim()).encoding;
  } catch {
    return undefined;
  }
}
