package tandem;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.protobuf.StatusProto;
import io.grpc.xds.XdsChannelCredentials;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** The one channel over which every agent of a Tandem fleet is called. */
public final class Fleet {
  /** The whole fleet. */
  public static final String TARGET = "xds:///tandem";

  private Fleet() {}

  /**
   * Opens the channel of the mesh: gRPC itself discovers, balances, retries and fails over. Open it
   * once; it serves every stub. Where the control planes are, and the file with the fleet's token,
   * stand in the environment.
   */
  public static ManagedChannel dial() {
    if (!isSet(System.getenv("GRPC_XDS_BOOTSTRAP_CONFIG"))
        && !isSet(System.getenv("GRPC_XDS_BOOTSTRAP"))
        && !isSet(System.getProperty("io.grpc.xds.bootstrapConfig"))
        && !isSet(System.getProperty("io.grpc.xds.bootstrap"))) {
      throw new IllegalStateException(
          "set GRPC_XDS_BOOTSTRAP_CONFIG or GRPC_XDS_BOOTSTRAP (`./tandem env` prints it), "
              + "or call dialAddress with the edge's address");
    }
    // The control plane may turn on mutual TLS for an agent without any change here.
    return open(TARGET, XdsChannelCredentials.create(InsecureChannelCredentials.create()));
  }

  /** Opens a channel in clear to one plain address, {@code host:port}. */
  public static ManagedChannel dialAddress(String address) {
    return dialAddress(address, InsecureChannelCredentials.create());
  }

  /** Opens a channel to one plain address, {@code host:port}: the fleet's edge, or one host. */
  public static ManagedChannel dialAddress(String address, ChannelCredentials credentials) {
    return open(address, credentials);
  }

  /** Why a call failed, as its contract's ErrorReason names it; empty where no agent said. */
  public static Optional<ErrorInfo> errorInfo(Throwable error) {
    return detail(error, ErrorInfo.class);
  }

  /** The first detail of a failed call that is of this type, such as {@code BadRequest}. */
  public static <T extends Message> Optional<T> detail(Throwable error, Class<T> type) {
    Status status = StatusProto.fromThrowable(error);
    if (status == null) {
      return Optional.empty();
    }
    for (Any detail : status.getDetailsList()) {
      if (detail.is(type)) {
        try {
          return Optional.of(detail.unpack(type));
        } catch (InvalidProtocolBufferException broken) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }

  private static ManagedChannel open(String target, ChannelCredentials credentials) {
    // Ten seconds is the least that gRPC for Java allows.
    return Grpc.newChannelBuilder(target, credentials)
        .keepAliveTime(10, TimeUnit.SECONDS)
        .keepAliveTimeout(1, TimeUnit.SECONDS)
        .keepAliveWithoutCalls(true)
        .intercept(new Bearer())
        .build();
  }

  private static boolean isSet(String value) {
    return value != null && !value.isEmpty();
  }
}
