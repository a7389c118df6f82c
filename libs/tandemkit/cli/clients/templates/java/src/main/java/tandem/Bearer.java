package tandem;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * Shows the fleet's token with every call: what the file holds that TANDEM_TOKEN_FILE names. Without
 * that variable calls show nothing, which is enough for a fleet that is open.
 */
final class Bearer implements ClientInterceptor {
  private static final Metadata.Key<String> HEADER =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
  // A fleet takes the token before for a while, so a new one need not be seen at once.
  private static final long LOOK_AGAIN_AFTER_NS = TimeUnit.SECONDS.toNanos(5);

  private String value;
  private long readAtNs;

  @Override
  public <Q, A> ClientCall<Q, A> interceptCall(
      MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
    return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
      @Override
      public void start(Listener<A> listener, Metadata headers) {
        String file = System.getenv("TANDEM_TOKEN_FILE");
        if (file != null && !file.isEmpty()) {
          headers.discardAll(HEADER);
          headers.put(HEADER, bearer(Path.of(file)));
        }
        super.start(listener, headers);
      }
    };
  }

  private synchronized String bearer(Path file) {
    long nowNs = System.nanoTime();
    if (value == null || nowNs - readAtNs > LOOK_AGAIN_AFTER_NS) {
      try {
        value = "Bearer " + Files.readString(file).strip();
      } catch (IOException error) {
        throw Status.UNAUTHENTICATED
            .withDescription("tandem: the token in " + file + " cannot be read")
            .withCause(error)
            .asRuntimeException();
      }
      readAtNs = nowNs;
    }
    return value;
  }
}
