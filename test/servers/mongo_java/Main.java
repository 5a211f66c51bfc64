import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.h2.H2Backend;

/** The MongoDB protocol on 127.0.0.1, any port, kept in the file that the first argument names. */
public class Main {
    public static void main(String[] args) throws Exception {
        MongoServer server = new MongoServer(new H2Backend(args[0]));
        server.bind("127.0.0.1", 0);
        System.out.println("listening " + server.getLocalAddress().getPort());
        while (System.in.read() >= 0) {} // until whoever started us has gone
        server.shutdown();
    }
}
