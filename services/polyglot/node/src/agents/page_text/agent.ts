// Readable text and links of pages. Contract: tandem.polyglot.v1.PageTextService.
import { durationMs } from "@bufbuild/protobuf/wkt";

import { PageTextSettingsSchema } from "../../../gen/tandem/polyglot/config/v1/page_text_pb.js";
import { ErrorReasonSchema } from "../../../gen/tandem/polyglot/v1/errors_pb.js";
import { PageTextService } from "../../../gen/tandem/polyglot/v1/page_text_service_pb.js";
import { agent } from "../../kit/agent.js";
import { Threads } from "../../kit/threads.js";
import { PageReader } from "./servicer.js";

const MIB = 1024 * 1024;

export const AGENT = agent({
  contract: PageTextService,
  reasons: ErrorReasonSchema,
  settings: PageTextSettingsSchema,
  build: async (_scope, settings) => {
    const threads = new Threads(new URL("./thread.js", import.meta.url), {
      countMax: settings.threadsMax || 2,
      memoryMibMax: settings.threadMemoryMibMax || 256,
      idleMs: settings.idleMax ? durationMs(settings.idleMax) : 30_000,
    });
    const limits = {
      pageBytesMax: settings.pageBytesMax || 8 * MIB,
      textCharsMax: settings.textCharsMax || 1_000_000,
    };
    return { servicer: new PageReader(threads, limits).servicer, close: () => threads.close() };
  },
});
