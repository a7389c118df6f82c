// How many calls of one method there were, how each ended, and how long it took.

/**
 * Upper bounds of the buckets that gRPC's own instruments have (gRFC A66), in seconds, as every
 * host of the fleet writes them.
 */
export const BOUNDS = (
  "0.0 1e-05 5e-05 0.0001 0.0003 0.0006 0.0008 0.001 0.002 0.003 0.004 0.005 0.006 0.008 0.01 0.013 0.016 0.02 0.025 " +
  "0.03 0.04 0.05 0.065 0.08 0.1 0.13 0.16 0.2 0.25 0.3 0.4 0.5 0.65 0.8 1.0 2.0 5.0 10.0 20.0 50.0 100.0"
).split(" ");
const BOUNDS_S = BOUNDS.map(Number);

/** Seconds, by bucket; the last one is for what exceeds all bounds. */
export class Durations {
  readonly counts: number[] = new Array<number>(BOUNDS_S.length + 1).fill(0);
  sumS = 0;

  add(durationS: number): void {
    let place = 0;
    while (place < BOUNDS_S.length && (BOUNDS_S[place] as number) < durationS) place += 1;
    this.counts[place] = (this.counts[place] ?? 0) + 1;
    this.sumS += durationS;
  }
}

/** Of one method, from its wrapper's first line to the status. */
export class Tally {
  started = 0;
  readonly ended = new Map<string, Durations>();

  constructor(
    readonly service: string,
    /** `tandem.text.v1.SummarizeService/Summarize`. */
    readonly method: string,
  ) {}

  end(code: string, durationS: number): void {
    let found = this.ended.get(code);
    if (found === undefined) this.ended.set(code, (found = new Durations()));
    found.add(durationS);
  }
}
