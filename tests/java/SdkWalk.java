// Walks through Weir with the Java SDK v2, as an application would: CBOR by its own default, HTTP/2 from the
// asynchronous client and HTTP/1.1 from the other, and a shard's event stream. The same over TLS.
// Usage: java -cp 'JARS/*' SdkWalk.java URL...

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.client.config.ClientOverrideConfiguration;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.interceptor.SdkExecutionAttribute;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.SdkHttpConfigurationOption;
import software.amazon.awssdk.http.apache.ApacheHttpClient;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.api.BackoffStrategy;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.*;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.waiters.KinesisAsyncWaiter;
import software.amazon.awssdk.utils.AttributeMap;

public class SdkWalk {
    static final int RECORDS = 100;
    static final Duration PATIENCE = Duration.ofSeconds(60);

    /** Which content type each operation was sent with. */
    static final Map<String, String> encodings = new ConcurrentHashMap<>();

    static final ExecutionInterceptor WATCH = new ExecutionInterceptor() {
        @Override
        public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
            String operation = attributes.getAttribute(SdkExecutionAttribute.OPERATION_NAME);
            encodings.put(operation, context.httpRequest().firstMatchingHeader("Content-Type").orElse("none"));
        }
    };

    /** A self-signed certificate is nobody's to vouch for. */
    static final AttributeMap TRUST_ALL =
        AttributeMap.builder().put(SdkHttpConfigurationOption.TRUST_ALL_CERTIFICATES, true).build();

    public static void main(String[] endpoints) throws Exception {
        for (String endpoint : endpoints) walk(URI.create(endpoint));
        encodings.remove("SubscribeToShard"); // the SDK itself sends that one as JSON
        check(Set.copyOf(encodings.values()).equals(Set.of("application/x-amz-cbor-1.1")), encodings.toString());
        System.out.println("ok");
        System.exit(0); // the SDK's threads linger
    }

    static void walk(URI endpoint) throws Exception {
        String stream = "walk-" + endpoint.getScheme();
        KinesisAsyncClient client = KinesisAsyncClient.builder()
            .endpointOverride(endpoint)
            .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("any", "any")))
            .region(Region.US_EAST_1)
            .httpClient(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP2).buildWithDefaults(TRUST_ALL))
            .overrideConfiguration(ClientOverrideConfiguration.builder().addExecutionInterceptor(WATCH).build())
            .build();
        String arn = create(client, stream);
        Map<String, String> written = write(client, arn);
        check(poll(client, stream).equals(written), "GetRecords over HTTP/2");
        check(subscribe(client, arn).equals(written), "SubscribeToShard");
        errors(client);
        check(synchronous(endpoint, stream).equals(written), "GetRecords over HTTP/1.1");
        client.deleteStream(r -> r.streamName(stream).enforceConsumerDeletion(true)).join();
        waiter(client).waitUntilStreamNotExists(r -> r.streamName(stream)).join();
    }

    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    /** The SDK's own, looking every tenth of a second instead of every tenth second. */
    static KinesisAsyncWaiter waiter(KinesisAsyncClient client) {
        return KinesisAsyncWaiter.builder().client(client).overrideConfiguration(o -> o.maxAttempts(600)
            .backoffStrategyV2(BackoffStrategy.fixedDelayWithoutJitter(Duration.ofMillis(100)))).build();
    }

    static String create(KinesisAsyncClient client, String stream) {
        client.createStream(r -> r.streamName(stream).shardCount(1).tags(Map.of("made", "by Java"))).join();
        StreamDescription described = waiter(client).waitUntilStreamExists(r -> r.streamName(stream)).join()
            .matched().response().orElseThrow().streamDescription();
        check(described.streamStatus() == StreamStatus.ACTIVE, described.toString());
        Duration age = Duration.between(described.streamCreationTimestamp(), Instant.now());
        check(age.abs().compareTo(Duration.ofMinutes(10)) < 0, "created " + age + " ago");
        return described.streamARN();
    }

    static Map<String, String> write(KinesisAsyncClient client, String arn) {
        List<PutRecordsRequestEntry> entries = IntStream.range(0, RECORDS).mapToObj(n -> PutRecordsRequestEntry.builder()
            .partitionKey("key-" + n).data(SdkBytes.fromUtf8String("record " + n)).build()).toList();
        PutRecordsResponse put = client.putRecords(r -> r.streamARN(arn).records(entries)).join();
        check(put.failedRecordCount() == 0, put.toString());
        Map<String, String> written = new HashMap<>();
        IntStream.range(0, RECORDS).forEach(n -> written.put(put.records().get(n).sequenceNumber(), "record " + n));
        return written;
    }

    static void keep(Map<String, String> read, Record record) {
        Duration age = Duration.between(record.approximateArrivalTimestamp(), Instant.now());
        check(age.abs().compareTo(Duration.ofMinutes(10)) < 0, "arrived " + age + " ago");
        check(read.put(record.sequenceNumber(), record.data().asString(StandardCharsets.UTF_8)) == null, "twice");
    }

    static Map<String, String> poll(KinesisAsyncClient client, String stream) {
        Shard shard = client.listShards(r -> r.streamName(stream)).join().shards().get(0);
        String iterator = client.getShardIterator(r -> r.streamName(stream).shardId(shard.shardId())
            .shardIteratorType(ShardIteratorType.AT_TIMESTAMP).timestamp(Instant.now().minusSeconds(600)))
            .join().shardIterator();
        Map<String, String> read = new HashMap<>();
        while (read.size() < RECORDS) {
            String from = iterator;
            GetRecordsResponse answer = client.getRecords(r -> r.shardIterator(from).limit(60)).join();
            answer.records().forEach(record -> keep(read, record));
            iterator = answer.nextShardIterator();
        }
        return read;
    }

    static Map<String, String> subscribe(KinesisAsyncClient client, String arn) throws Exception {
        String consumer = client.registerStreamConsumer(r -> r.streamARN(arn).consumerName("java")).join()
            .consumer().consumerARN();
        Instant deadline = Instant.now().plus(PATIENCE);
        while (client.describeStreamConsumer(r -> r.consumerARN(consumer)).join().consumerDescription()
                .consumerStatus() != ConsumerStatus.ACTIVE) {
            check(Instant.now().isBefore(deadline), "the consumer does not become ACTIVE");
            Thread.sleep(50);
        }
        Map<String, String> read = new HashMap<>();
        CompletableFuture<Void> all = new CompletableFuture<>();
        CompletableFuture<Void> call = client.subscribeToShard(
            r -> r.consumerARN(consumer).shardId("shardId-000000000000")
                .startingPosition(p -> p.type(ShardIteratorType.TRIM_HORIZON)),
            SubscribeToShardResponseHandler.builder()
                .subscriber(SubscribeToShardResponseHandler.Visitor.builder().onSubscribeToShardEvent(event -> {
                    check(!event.continuationSequenceNumber().isEmpty(), event.toString());
                    event.records().forEach(record -> keep(read, record));
                    if (read.size() >= RECORDS) all.complete(null);
                }).build())
                .onError(all::completeExceptionally)
                .build());
        all.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        call.cancel(true);
        client.deregisterStreamConsumer(r -> r.consumerARN(consumer)).join();
        return read;
    }

    /** Errors come in CBOR too, as the exceptions that the model names. */
    static void errors(KinesisAsyncClient client) {
        try {
            client.describeStreamSummary(r -> r.streamName("missing")).join();
        } catch (CompletionException error) {
            check(error.getCause() instanceof ResourceNotFoundException, error.toString());
            check(error.getCause().getMessage().contains("missing under account"), error.toString());
            return;
        }
        throw new AssertionError("a stream that is not there");
    }

    static Map<String, String> synchronous(URI endpoint, String stream) {
        KinesisClient client = KinesisClient.builder()
            .endpointOverride(endpoint)
            .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("any", "any")))
            .region(Region.US_EAST_1)
            .httpClient(ApacheHttpClient.builder().buildWithDefaults(TRUST_ALL))
            .build();
        String iterator = client.getShardIterator(r -> r.streamName(stream).shardId("shardId-000000000000")
            .shardIteratorType(ShardIteratorType.TRIM_HORIZON)).shardIterator();
        Map<String, String> read = new HashMap<>();
        client.getRecords(r -> r.shardIterator(iterator)).records().forEach(record -> keep(read, record));
        return read;
    }
}
