package tandem;

import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.util.concurrent.TimeUnit;
import @@package@@.@@request@@;
import @@package@@.@@service@@Grpc;

/** Calls one agent: over the mesh, or over the edge where an argument is its address. */
public final class Example {
  private Example() {}

  public static void main(String[] arguments) {
    ManagedChannel channel = arguments.length > 0 ? Fleet.dialAddress(arguments[0]) : Fleet.dial();
    try {
      System.out.println(
          @@service@@Grpc.newBlockingStub(channel)
              .withDeadlineAfter(10, TimeUnit.SECONDS)
              .@@method@@(@@request@@.newBuilder()@@fields@@.build()));
    } catch (StatusRuntimeException error) {
      System.err.println(error.getMessage() + " " + Fleet.errorInfo(error));
    } finally {
      channel.shutdownNow();
    }
  }
}
