// A process's signs of life, in a file that the machine's supervisor maps: docs/design/liveness.md.
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";

const BEAT_MS = 500;
const SIZE = 65536;
// "tandem" and the layout's number.
const MAGIC = Buffer.from([0x74, 0x61, 0x6e, 0x64, 0x65, 0x6d, 0x00, 0x01]);
const [PID_AT, LOOP_AT, NAMES_BYTES_AT, NAMES_AT] = [8, 16, 48, 64];
const HOLDER_SHIFT = 48n;

export interface Origin {
  readonly agent: string;
  readonly path: string;
}

/** Beats from the event loop, which is what a host has to keep free. Throws for a full disk. */
export class Pulse {
  private readonly file: number;
  private readonly timer: NodeJS.Timeout;
  private readonly words = Buffer.alloc(24);
  private readonly holder: bigint;

  constructor(path: string, origins: readonly Origin[]) {
    const fresh = join(dirname(path), `.${basename(path)}.${process.pid}`);
    this.file = fs.openSync(fresh, "w+", 0o600);
    // With all of its blocks: a later write must not find the disk full.
    fs.writeSync(this.file, firstPage(origins), 0, SIZE, 0);
    fs.renameSync(fresh, path);
    // Of several agents nobody knows which one it is.
    this.holder = origins.length === 1 ? 1n : 0n;
    this.beat();
    this.timer = setInterval(() => this.beat(), BEAT_MS);
    this.timer.unref();
  }

  close(): void {
    clearInterval(this.timer);
    fs.closeSync(this.file);
  }

  /** There is no thread beside the loop, so the loop beats for both. */
  private beat(): void {
    const now = process.hrtime.bigint();
    this.words.writeBigUInt64LE(now, 0);
    this.words.writeBigUInt64LE(now, 8);
    this.words.writeBigUInt64LE((this.holder << HOLDER_SHIFT) | (now / 1_000_000n), 16);
    fs.writeSync(this.file, this.words, 0, this.words.length, LOOP_AT);
  }
}

function firstPage(origins: readonly Origin[]): Buffer {
  const page = Buffer.alloc(SIZE);
  const names = Buffer.from(origins.map((one) => `${one.agent}\t${one.path}`).join("\n"));
  const told = names.subarray(0, SIZE - NAMES_AT);
  MAGIC.copy(page, 0);
  // As the reader takes it for a number: little end first.
  page.writeBigUInt64LE(BigInt(process.pid), PID_AT);
  page.writeBigUInt64LE(BigInt(told.length), NAMES_BYTES_AT);
  told.copy(page, NAMES_AT);
  return page;
}
