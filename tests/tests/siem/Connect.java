import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigValue;
import org.apache.kafka.common.config.provider.EnvVarConfigProvider;
import org.apache.kafka.common.config.ConfigTransformer;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.runtime.SinkConnectorConfig;
import org.apache.kafka.connect.storage.Converter;

/**
 * Reads a connector's configuration as a Kafka Connect worker does, as far as that is the worker's:
 * secrets from the environment, the settings that every sink connector has, the converters. Then each
 * line of the events goes through the value converter; what the connector would get is printed as JSON.
 *
 * <p>Arguments: the configuration, the events. The classes of the connectors themselves are not here.
 */
final class Connect {
    public static void main(String[] args) throws Exception {
        ObjectMapper json = new ObjectMapper();
        Map<String, String> written = json.readValue(new File(args[0]),
            json.getTypeFactory().constructMapType(Map.class, String.class, String.class));
        EnvVarConfigProvider environment = new EnvVarConfigProvider();
        environment.configure(Map.of());
        Map<String, String> settings =
            new ConfigTransformer(Map.of("env", environment)).transform(written).data();
        for (Map.Entry<String, String> setting : settings.entrySet()) {
            if (setting.getValue().contains("${")) {
                throw new IllegalArgumentException(setting.getKey() + " is not replaced: " + setting.getValue());
            }
        }

        SinkConnectorConfig.validate(settings);
        ConfigDef known = SinkConnectorConfig.configDef();
        for (ConfigValue value : known.validate(settings)) {
            List<String> errors = value.errorMessages();
            if (!errors.isEmpty()) {
                throw new IllegalArgumentException(value.name() + ": " + errors);
            }
        }

        Converter converter = converter(settings);
        for (String line : Files.readAllLines(Path.of(args[1]))) {
            byte[] sent = line.getBytes(StandardCharsets.UTF_8);
            SchemaAndValue got = converter.toConnectData(settings.get("topics"), sent);
            JsonNode back = got.value() instanceof String text
                ? json.readTree(text)
                : json.readTree(converter.fromConnectData("", got.schema(), got.value()));
            System.out.println(back);
        }
    }

    private static Converter converter(Map<String, String> settings) throws Exception {
        Converter converter = (Converter) Class.forName(settings.get("value.converter"))
            .getDeclaredConstructor().newInstance();
        boolean schemas = Boolean.parseBoolean(settings.getOrDefault("value.converter.schemas.enable", "true"));
        converter.configure(Map.of("schemas.enable", String.valueOf(schemas)), false);
        return converter;
    }
}
