import com.google.gson.Gson;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import tandem.Fleet;
import tandem.utility.v1.ConvertQuantityRequest;
import tandem.utility.v1.MeasureTextRequest;
import tandem.utility.v1.MeasureTextResponse;
import tandem.utility.v1.Quantity;
import tandem.utility.v1.ToolboxServiceGrpc;

/** Makes the calls that a test asks for and counts who answered: see ../README.md. */
public final class Driver {
  private static final int TOLD_EVERY = 50;
  private static final Gson JSON = new Gson();

  private static final class Calls {
    String address;
    int count;
    int at_once;
    int pause_ms;
    Map<String, String> headers = Map.of();
    boolean refused;
  }

  private static final class Outcome {
    Map<String, Integer> answers = new TreeMap<>();
    Map<String, Integer> failures = new TreeMap<>();
    double slowest_s;
    String last_failure = "";
    transient int made;

    synchronized void add(String who, String code, String failure, double tookS) {
      if (code == null) {
        answers.merge(who, 1, Integer::sum);
      } else {
        failures.merge(code, 1, Integer::sum);
        last_failure = failure;
      }
      slowest_s = Math.max(slowest_s, tookS);
      if (++made % TOLD_EVERY == 0) {
        System.out.println(JSON.toJson(Map.of("made", made)));
      }
    }
  }

  public static void main(String[] arguments) throws InterruptedException {
    Calls asked = JSON.fromJson(arguments[0], Calls.class);
    ManagedChannel channel =
        asked.address.isEmpty() ? Fleet.dial() : Fleet.dialAddress(asked.address);
    System.out.println(JSON.toJson(asked.refused ? refusal(channel) : run(channel, asked)));
    channel.shutdownNow();
    System.exit(0);
  }

  private static Outcome run(ManagedChannel channel, Calls asked) throws InterruptedException {
    Outcome outcome = new Outcome();
    AtomicInteger left = new AtomicInteger(asked.count);
    var callers = Executors.newFixedThreadPool(asked.at_once);
    for (int caller = 0; caller < asked.at_once; caller++) {
      callers.execute(
          () -> {
            while (left.getAndDecrement() > 0) {
              once(channel, asked.headers, outcome);
              LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(asked.pause_ms));
            }
          });
    }
    callers.shutdown();
    callers.awaitTermination(10, TimeUnit.MINUTES);
    return outcome;
  }

  private static void once(ManagedChannel channel, Map<String, String> headers, Outcome outcome) {
    long started = System.nanoTime();
    Metadata sent = new Metadata();
    headers.forEach(
        (name, value) -> sent.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value));
    ClientInterceptor attach = MetadataUtils.newAttachHeadersInterceptor(sent);
    ToolboxServiceGrpc.ToolboxServiceBlockingStub stub =
        ToolboxServiceGrpc.newBlockingStub(channel).withInterceptors(attach);
    var method = ToolboxServiceGrpc.getMeasureTextMethod();
    var call = stub.getChannel().newCall(method, stub.getCallOptions());
    MeasureTextRequest request = MeasureTextRequest.newBuilder().setText("hello").build();
    try {
      MeasureTextResponse answer = ClientCalls.futureUnaryCall(call, request).get();
      String wrong = answer.getCodePoints() == 5 ? null : "UNKNOWN";
      outcome.add(peer(call), wrong, "wrong answer", tookS(started));
    } catch (ExecutionException failed) {
      var error = (StatusRuntimeException) failed.getCause();
      outcome.add("", error.getStatus().getCode().name(), error.getMessage(), tookS(started));
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private static String peer(ClientCall<?, ?> call) {
    var address = (InetSocketAddress) call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
    return address.getAddress().getHostAddress() + ":" + address.getPort();
  }

  private static double tookS(long started) {
    return (System.nanoTime() - started) / 1e9;
  }

  private static Map<String, Object> refusal(ManagedChannel channel) {
    var quantity = Quantity.newBuilder().setValue(26.2).setUnit("mile");
    var request = ConvertQuantityRequest.newBuilder().setQuantity(quantity).build();
    Map<String, Object> told = new HashMap<>();
    try {
      ToolboxServiceGrpc.newBlockingStub(channel).convertQuantity(request);
    } catch (StatusRuntimeException error) {
      ErrorInfo why = Fleet.errorInfo(error).orElseThrow();
      told.put("code", error.getStatus().getCode().name());
      told.put("reason", why.getReason());
      told.put("domain", why.getDomain());
      told.put(
          "fields",
          Fleet.detail(error, BadRequest.class).orElseThrow().getFieldViolationsList().stream()
              .map(BadRequest.FieldViolation::getField)
              .toList());
    }
    return told;
  }
}
