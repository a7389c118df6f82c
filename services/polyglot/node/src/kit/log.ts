// Log lines as JSON, in the form of every other host: a constant dotted event name and fields.

export type Level = "DEBUG" | "INFO" | "WARNING" | "ERROR";
export type Fields = Record<string, unknown>;

const WITHIN_ASCII = /[\u007f-\uffff]/g;

/** One JSON object in ASCII, so that no break in a value, Unicode's included, can forge a line. */
export function lineOf(logger: string, level: Level, event: string, fields: Fields): string {
  const time = new Date().toISOString().replace("Z", "+00:00");
  const line = JSON.stringify({ time, level, event, logger, ...fields });
  return line.replace(
    WITHIN_ASCII,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export class Logger {
  constructor(private readonly name: string) {}

  info(event: string, fields: Fields = {}): void {
    this.write("INFO", event, fields);
  }

  warning(event: string, fields: Fields = {}): void {
    this.write("WARNING", event, fields);
  }

  error(event: string, error: unknown, fields: Fields = {}): void {
    const exception = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.write("ERROR", event, { ...fields, exception });
  }

  write(level: Level, event: string, fields: Fields): void {
    process.stderr.write(`${lineOf(this.name, level, event, fields)}\n`);
  }
}
