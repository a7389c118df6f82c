// Messages to pages and back: what is read, and how much of it, before a thread reads it.
import type { MessageInitShape } from "@bufbuild/protobuf";

import { ErrorReason } from "../../../gen/tandem/polyglot/v1/errors_pb.js";
import { PageExtent, PageSchema } from "../../../gen/tandem/polyglot/v1/page_pb.js";
import type { PageReading } from "../../../gen/tandem/polyglot/v1/page_pb.js";
import type {
  PageTextService,
  ReadLongPageRequest,
} from "../../../gen/tandem/polyglot/v1/page_text_service_pb.js";
import { CallerError } from "../../kit/failure.js";
import type { Servicer } from "../../kit/seat.js";
import { OutOfMemory } from "../../kit/threads.js";
import type { Threads } from "../../kit/threads.js";
import { charsetSaid, isHtmlType } from "./charset.js";
import type { Asked, PageRead, Read } from "./page.js";

export interface Limits {
  readonly pageBytesMax: number;
  readonly textCharsMax: number;
}

export class PageReader {
  constructor(
    private readonly threads: Threads,
    private readonly limits: Limits,
  ) {}

  get servicer(): Servicer<typeof PageTextService> {
    return {
      readPage: async (request, context) => ({
        page: await this.read([request.content], request.reading, context.signal),
      }),
      readLongPage: async (requests, context) => {
        const [pieces, reading] = await this.collected(requests);
        return { page: await this.read(pieces, reading, context.signal) };
      },
    };
  }

  private async collected(
    requests: AsyncIterable<ReadLongPageRequest>,
  ): Promise<[Uint8Array[], PageReading]> {
    const pieces: Uint8Array[] = [];
    let reading: PageReading | undefined;
    let bytes = 0;
    for await (const { step } of requests) {
      if (step.case === "start" ? reading !== undefined : reading === undefined)
        throw outOfOrder(reading !== undefined);
      if (step.case === "start") reading = step.value;
      if (step.case !== "content") continue;
      bytes += step.value.length;
      this.checkSize(bytes);
      pieces.push(step.value);
    }
    if (reading === undefined) throw outOfOrder(false);
    return [pieces, reading];
  }

  private async read(
    pieces: readonly Uint8Array[],
    reading: PageReading | undefined,
    signal: AbortSignal,
  ): Promise<MessageInitShape<typeof PageSchema>> {
    const content = Buffer.concat(pieces);
    this.checkSize(content.length);
    const asked = this.asked(content, reading);
    let page: Read;
    try {
      page = await this.threads.run<Asked, Read>(asked, signal);
    } catch (error) {
      if (!(error instanceof OutOfMemory)) throw error;
      throw costly("reading the page takes more memory than one page may have", {
        memory_mib_max: this.threads.limits.memoryMibMax,
      });
    }
    if ("depthMax" in page)
      throw costly("the page is nested deeper than any for readers", { depth_max: page.depthMax });
    return written(page);
  }

  private asked(content: Uint8Array, reading: PageReading | undefined): Asked {
    const type = reading?.contentType ?? "";
    if (!isHtmlType(type)) {
      throw new CallerError(ErrorReason.NOT_HTML, "the content type is not that of a page", {
        field: "reading.content_type",
        content_type: type,
      });
    }
    const charset = charsetSaid(type);
    if (charset === "unknown") {
      throw new CallerError(ErrorReason.CHARSET_UNKNOWN, "nobody knows that character set", {
        field: "reading.content_type",
        charset: type,
      });
    }
    return {
      content,
      charset,
      baseUrl: reading?.baseUrl ?? "",
      wantsArticle: reading?.extent !== PageExtent.WHOLE,
      linksMax: reading?.linksMax ?? 0,
      textCharsMax: this.limits.textCharsMax,
    };
  }

  private checkSize(bytes: number): void {
    const { pageBytesMax } = this.limits;
    if (bytes <= pageBytesMax) return;
    throw new CallerError(ErrorReason.TOO_LARGE, "the page is larger than this agent reads", {
      bytes_max: pageBytesMax,
    });
  }
}

function written(page: PageRead): MessageInitShape<typeof PageSchema> {
  const { isArticle, links, ...same } = page;
  return { ...same, links: [...links], extent: isArticle ? PageExtent.ARTICLE : PageExtent.WHOLE };
}

function costly(message: string, metadata: Record<string, number>): CallerError {
  return new CallerError(ErrorReason.PAGE_TOO_COSTLY, message, metadata);
}

function outOfOrder(hasBegun: boolean): CallerError {
  const expected = hasBegun ? "content" : "start";
  return new CallerError(
    ErrorReason.STREAM_OUT_OF_ORDER,
    `the stream has something else where ${expected} belongs`,
    { expected },
  );
}
