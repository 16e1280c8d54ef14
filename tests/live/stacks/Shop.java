import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.concurrent.atomic.AtomicInteger;

/** Handlers that ask a service which never answers, and threads that wait for a lock. */
public class Shop {
    static final Object STOCK = new Object();
    /** How many waits have ended. */
    static final AtomicInteger ended = new AtomicInteger();

    static void start(String name, Runnable work) {
        Thread thread = new Thread(work, name);
        thread.setDaemon(true);
        thread.start();
    }

    static void checkout(Socket client, int service) {
        try {
            client.getInputStream().read();
            Socket database = new Socket("127.0.0.1", service);
            InputStream answer = database.getInputStream();
            answer.read();
        } catch (Exception error) {
            error.printStackTrace();
        }
        ended.incrementAndGet();
    }

    static void reserve() {
        synchronized (STOCK) {
            ended.incrementAndGet();
        }
    }

    static void serve(ServerSocket listener, int service) {
        for (int number = 1; ; number++) {
            try {
                Socket client = listener.accept();
                start("http-nio-8080-exec-" + number, () -> checkout(client, service));
            } catch (Exception error) {
                error.printStackTrace();
                return;
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        int service = Integer.parseInt(arguments[arguments.length - 1]);
        ServerSocket listener = new ServerSocket(0, 64, InetAddress.getByName("127.0.0.1"));
        synchronized (STOCK) {
            for (int number = 1; number <= 7; number++) {
                start("stock-" + number, Shop::reserve);
            }
            start("acceptor", () -> serve(listener, service));
            System.out.println("{\"port\": " + listener.getLocalPort() + "}");
            System.in.read();
            System.out.println("{\"count\": " + ended.get() + "}");
            System.out.flush();
            Runtime.getRuntime().halt(0);
        }
    }
}
