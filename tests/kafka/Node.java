import java.nio.file.Files;
import java.nio.file.Path;

/**
 * One node of a cluster, broker and controller in one: formats its storage when it has none, then
 * runs Kafka. In one virtual machine, since starting one takes longer than either.
 *
 * <pre>java Node CLUSTER_ID DATA_DIR SERVER_PROPERTIES</pre>
 */
public final class Node {
    public static void main(String[] args) throws Exception {
        String clusterId = args[0];
        Path data = Path.of(args[1]);
        String properties = args[2];
        if (!Files.exists(data.resolve("meta.properties"))) {
            int status =
                    kafka.tools.StorageTool.execute(
                            new String[] {"format", "-t", clusterId, "-c", properties}, System.err);
            if (status != 0) {
                System.exit(status);
            }
        }
        kafka.Kafka.main(new String[] {properties});
    }
}
