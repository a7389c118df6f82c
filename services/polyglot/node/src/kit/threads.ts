// Work that takes the CPU, on threads beside the loop that serves calls. Each has its own memory,
// with a limit; one that takes too much, or whose caller is gone, is ended, and the next work gets
// another.
import { Worker } from "node:worker_threads";

export interface ThreadLimits {
  readonly countMax: number;
  readonly memoryMibMax: number;
  /** How long one without work is kept. */
  readonly idleMs: number;
}

/** The work took more memory than a thread may have. */
export class OutOfMemory extends Error {}

/** The thread ended before its work was done, by no fault of the work that we know of. */
export class ThreadLost extends Error {}

export type Answer<T> = { readonly value: T } | { readonly error: string };

interface Turn {
  readonly input: unknown;
  readonly signal: AbortSignal;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Threads of one module, which answers each message that it gets with an Answer: see `answering`.
 */
export class Threads {
  private readonly free: Thread[] = [];
  private readonly waiting: Turn[] = [];
  private readonly all = new Set<Thread>();

  constructor(
    private readonly module: URL,
    readonly limits: ThreadLimits,
  ) {}

  /**
   * What the module makes of `input`. Rejects with OutOfMemory, ThreadLost, what the module threw,
   * or the signal's reason.
   */
  async run<I, O>(input: I, signal: AbortSignal): Promise<O> {
    signal.throwIfAborted();
    return await new Promise<O>((resolve, reject) => {
      const turn: Turn = { input, signal, resolve: resolve as (value: unknown) => void, reject };
      signal.addEventListener("abort", () => this.drop(turn), { once: true });
      this.waiting.push(turn);
      this.next();
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.all].map((one) => one.end()));
  }

  /** Its caller is gone while it waits; one that runs ends with its thread. */
  private drop(turn: Turn): void {
    const place = this.waiting.indexOf(turn);
    if (place >= 0) this.waiting.splice(place, 1);
    turn.reject(turn.signal.reason);
  }

  private next(): void {
    if (!this.waiting.length) return;
    let thread = this.free.pop();
    if (thread === undefined && this.all.size < this.limits.countMax) {
      thread = new Thread(this.module, this.limits, (gone) => this.forget(gone));
      this.all.add(thread);
    }
    if (thread === undefined) return;
    const turn = this.waiting.shift();
    if (turn) void this.serve(thread, turn);
  }

  private async serve(thread: Thread, turn: Turn): Promise<void> {
    try {
      turn.resolve(await thread.run(turn.input, turn.signal));
    } catch (error) {
      turn.reject(error);
    }
    if (this.all.has(thread)) this.free.push(thread);
    this.next();
  }

  private forget(thread: Thread): void {
    this.all.delete(thread);
    const place = this.free.indexOf(thread);
    if (place >= 0) this.free.splice(place, 1);
  }
}

class Thread {
  private readonly worker: Worker;
  private idle: NodeJS.Timeout | undefined;
  private lost: Error | undefined;
  private onAnswer: ((answer: Answer<unknown>) => void) | undefined;
  private onLost: ((error: Error) => void) | undefined;

  constructor(
    module: URL,
    private readonly limits: ThreadLimits,
    private readonly gone: (thread: Thread) => void,
  ) {
    const young = Math.min(32, limits.memoryMibMax / 4);
    const resourceLimits = {
      maxOldGenerationSizeMb: limits.memoryMibMax - young,
      maxYoungGenerationSizeMb: young,
    };
    this.worker = new Worker(module, { resourceLimits, stdin: false, env: {} });
    this.worker.on("message", (answer: Answer<unknown>) => this.onAnswer?.(answer));
    this.worker.on("error", (error: NodeJS.ErrnoException) => {
      const isMemory = error.code === "ERR_WORKER_OUT_OF_MEMORY";
      this.fail(isMemory ? new OutOfMemory(error.message) : new ThreadLost(String(error)));
    });
    this.worker.on("exit", () => this.fail(new ThreadLost("the thread ended")));
  }

  async run(input: unknown, signal: AbortSignal): Promise<unknown> {
    clearTimeout(this.idle);
    const end = () => void this.end();
    signal.addEventListener("abort", end, { once: true });
    try {
      const answer = await new Promise<Answer<unknown>>((resolve, reject) => {
        this.onAnswer = resolve;
        this.onLost = reject;
        if (this.lost) reject(this.lost);
        this.worker.ref();
        this.worker.postMessage(input);
      });
      if ("error" in answer) throw new Error(answer.error);
      return answer.value;
    } finally {
      signal.removeEventListener("abort", end);
      this.onAnswer = this.onLost = undefined;
      this.worker.unref();
      this.idle = setTimeout(() => void this.end(), this.limits.idleMs).unref();
    }
  }

  async end(): Promise<void> {
    clearTimeout(this.idle);
    this.fail(new ThreadLost("the thread was ended"));
    await this.worker.terminate();
  }

  private fail(error: Error): void {
    this.lost ??= error;
    this.gone(this);
    this.onLost?.(this.lost);
  }
}
