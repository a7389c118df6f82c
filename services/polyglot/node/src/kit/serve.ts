// What the process does once: it reads its command line, serves, and ends when it is told to.
import type { Agent } from "./agent.js";
import { Host } from "./host.js";
import { Logger } from "./log.js";
import { BadOptions, read } from "./options.js";
import { placedOf } from "./plan.js";
import { TokenRefused } from "./token.js";

const [EXIT_FAILED, EXIT_USAGE] = [1, 2];

/**
 * Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once. Exits 2 on
 * bad options.
 */
export async function serve(program: readonly Agent[], argv: readonly string[]): Promise<void> {
  // What agents write is for this user alone, wherever somebody put the home.
  process.umask(0o077);
  process.on("uncaughtException", failed);
  const host = made(program, argv);
  const stopped = stoppedBySignal();
  try {
    await host.start();
  } catch (error) {
    failed(error);
  }
  await stopped;
  await host.end();
  process.exit(0);
}

/** The machine's supervisor starts another one. */
function failed(error: unknown): never {
  new Logger("tandemkit.hosting").error("host.failed", error);
  process.exit(EXIT_FAILED);
}

function made(program: readonly Agent[], argv: readonly string[]): Host {
  try {
    const options = read(argv);
    return new Host(placedOf(options.plan, program), program, options);
  } catch (error) {
    if (!(error instanceof BadOptions) && !(error instanceof TokenRefused)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(EXIT_USAGE);
  }
}

async function stoppedBySignal(): Promise<void> {
  await new Promise<void>((resolve) => {
    const stop = () => {
      // The next one does what the system does without us.
      for (const one of ["SIGTERM", "SIGINT"]) process.removeAllListeners(one);
      resolve();
    };
    for (const one of ["SIGTERM", "SIGINT"]) process.on(one, stop);
  });
}
