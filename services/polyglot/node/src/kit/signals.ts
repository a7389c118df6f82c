// Small pieces of waiting that the kit is built of.

const [PAUSE_MS_MIN, PAUSE_MS_MAX] = [50, 2000];

/** Word that something changed, for everybody who listens; what changed each looks up himself. */
export class News {
  private readonly listeners = new Set<() => void>();

  tell(): void {
    for (const one of [...this.listeners]) one();
  }

  /** Calls `heard` with each word, until what is returned is called. */
  listen(heard: () => void): () => void {
    this.listeners.add(heard);
    return () => this.listeners.delete(heard);
  }
}

/** A flag that is set once or again, and that one waits for. */
export class Bell {
  private rung = false;
  private waiting: Array<() => void> = [];

  ring(): void {
    this.rung = true;
    for (const one of this.waiting.splice(0)) one();
  }

  /** Returns when it was rung since the last time, or after `withinMs`, if that is given. */
  async heard(withinMs?: number): Promise<void> {
    if (!this.rung) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.waiting.push(resolve);
        if (withinMs !== undefined) timer = setTimeout(resolve, withinMs);
      });
      clearTimeout(timer);
    }
    this.rung = false;
  }
}

/** Does not keep a process alive that has nothing else to do. */
export async function sleep(ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

export class TooLate extends Error {}

/** What `work` comes to; rejects with TooLate where that takes longer. */
export async function within<T>(ms: number, work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new TooLate(what)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Before the next try: doubling, bounded, and up to half of it by chance (`drawn`, 0 to 1), so that
 * hosts do not all come at once.
 */
export function pauseMs(failures: number, drawn: number): number {
  return Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(failures, 10)) * (0.5 + drawn / 2);
}
