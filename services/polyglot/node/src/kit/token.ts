// The fleet's token: a secret in a file that only its user can read, and that every call shows.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";

export const HEADER = "authorization";
const LOOK_MS = 5000;
const FILE_BYTES_MAX = 4096;
const FORM = /^[A-Za-z0-9_-]{43,512}$/;
const SCHEME = "bearer ";

/** The file cannot be trusted, or is not there; the message says what to do. */
export class TokenRefused extends Error {}

interface Before {
  readonly text: string;
  readonly untilMs: number;
}

/** What the file says, for those who send it and those who ask for it; read again every 5 s. */
export class Token {
  private text = "";
  private before: Before[] = [];
  private seen = "";
  private lookAtMs = 0;

  /** Throws TokenRefused. */
  constructor(readonly path: string) {
    forbidDumps();
    this.look();
  }

  /** The token in `path`, which is made by whoever comes first. Throws TokenRefused. */
  static kept(path: string): Token {
    if (!fs.existsSync(path)) {
      try {
        fs.mkdirSync(dirname(path), { mode: 0o700, recursive: true });
        make(path);
      } catch (error) {
        throw new TokenRefused(`the token cannot be kept: ${(error as Error).message}`);
      }
    }
    return new Token(path);
  }

  /** The value of the header that a call shows. */
  get bearer(): string {
    this.lookNowAndThen();
    return `Bearer ${this.text}`;
  }

  /** Whether that is the value of the header that a call needs. Runs for every call. */
  opens(shown: string): boolean {
    this.lookNowAndThen();
    if (same(shown, `Bearer ${this.text}`)) return true;
    this.lookAgain();
    if (shown.slice(0, SCHEME.length).toLowerCase() !== SCHEME) return false;
    const text = shown.slice(SCHEME.length).trim();
    const now = Date.now();
    const earlier = this.before.filter((one) => now < one.untilMs).map((one) => one.text);
    return [this.text, ...earlier].filter((one) => same(text, one)).length > 0;
  }

  /** What only a holder of the secret can make of `content`. */
  sign(content: Uint8Array): Buffer {
    return createHmac("sha256", this.bearer).update(content).digest();
  }

  private lookNowAndThen(): void {
    if (performance.now() >= this.lookAtMs) this.lookAgain();
  }

  /** A file that is lost or spoiled changes nothing. */
  private lookAgain(): void {
    try {
      this.look();
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error;
    }
  }

  private look(): void {
    this.lookAtMs = performance.now() + LOOK_MS;
    const seen = `${identity(this.path)} ${identity(`${this.path}.before`)}`;
    if (seen === this.seen) return;
    const text = content(this.path);
    if (!FORM.test(text)) {
      throw new TokenRefused(
        `the file does not hold a token; delete it, and the next ./tandem up makes one: ${this.path}`,
      );
    }
    this.before = readBefore(`${this.path}.before`);
    this.text = text;
    this.seen = seen;
  }
}

/** In constant time, but for the length. */
function same(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** A core dump of this process, should there be one, holds none of its memory. */
function forbidDumps(): void {
  try {
    fs.writeFileSync("/proc/self/coredump_filter", "0");
  } catch {
    return; // No Linux: there is nothing of that kind to set.
  }
}

/** Whole or not at all, and never over another one. */
function make(path: string): void {
  const made = join(dirname(path), `.${basename(path)}.${process.pid}`);
  fs.writeFileSync(made, `${randomBytes(32).toString("base64url")}\n`, {
    mode: 0o600,
    flush: true,
  });
  try {
    fs.linkSync(made, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    fs.unlinkSync(made);
  }
}

/** Changes whenever the file does; empty where there is none. */
function identity(path: string): string {
  const found = fs.statSync(path, { bigint: true, throwIfNoEntry: false });
  return found ? [found.ino, found.mtimeNs, found.size, found.mode, found.uid].join(" ") : "";
}

function readBefore(path: string): Before[] {
  let text: string;
  try {
    text = content(path);
  } catch {
    return []; // A convenience, and the token itself is at hand.
  }
  return text
    .split("\n")
    .map((line) => line.split(" "))
    .map(([one = "", until = ""]) => ({ text: one, untilMs: Date.parse(until) }))
    .filter((one) => one.text && !Number.isNaN(one.untilMs));
}

/** Of a file that nobody but its owner, which is us, can read or change. */
function content(path: string): string {
  let file: number;
  try {
    file = fs.openSync(
      path,
      fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK,
    );
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === "ENOENT";
    const why = absent
      ? "there is no token; ./tandem up makes one, or copy the fleet's here with mode 600"
      : `the token cannot be read: ${(error as Error).message}`;
    throw new TokenRefused(`${why}: ${path}`);
  }
  try {
    check(path, fs.fstatSync(file));
    const held = Buffer.alloc(FILE_BYTES_MAX);
    return held.subarray(0, fs.readSync(file, held)).toString().trim();
  } finally {
    fs.closeSync(file);
  }
}

function check(path: string, found: fs.Stats): void {
  if (!found.isFile()) throw new TokenRefused(`the token has to be a file of its own: ${path}`);
  if (found.uid !== process.geteuid?.()) {
    throw new TokenRefused(
      `the token's file belongs to another user, who knows it; delete it, and the next ./tandem up makes one: ${path}`,
    );
  }
  if (found.mode & 0o077) {
    throw new TokenRefused(
      `others than you may read or change the token's file; if nobody has, chmod 600 it, else delete it: ${path}`,
    );
  }
}
