// The side of a thread that works: see threads.ts.
import { parentPort } from "node:worker_threads";

import type { Answer } from "./threads.js";

/** Answers each message with what `work` makes of it. */
export function answering<I, O>(work: (input: I) => O): void {
  parentPort?.on("message", (input: I) => {
    let answer: Answer<O>;
    try {
      answer = { value: work(input) };
    } catch (error) {
      answer = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    parentPort?.postMessage(answer);
  });
}
