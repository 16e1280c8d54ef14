// Its workers handle requests: each asks a remote service and waits for the answer. The last
// argument is that service's port. With LOCKED set, all but one wait for the lock that this one holds.
// A request that starts with E is echoed. It ends with its stdin, and prints how many calls were
// interrupted.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOT_INLINED __attribute__((noinline, noclone))

static int remote_port;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int is_locked;
/* What a function writes here after a call keeps the call from being its last instruction. */
static volatile int done;
static volatile int interrupted;

NOT_INLINED int query_db(int remote)
{
    char answer[512];
    if (send(remote, "SELECT 1\n", 9, 0) != 9)
        return -1;
    int length;
    while ((length = recv(remote, answer, sizeof answer, 0)) < 0 && errno == EINTR)
        interrupted++;
    done = length;
    return length + answer[0];
}

NOT_INLINED int load_user(int remote, int user)
{
    char key[64];
    snprintf(key, sizeof key, "user-%d", user);
    int row = query_db(remote);
    done = row;
    return row + key[5];
}

NOT_INLINED int handle_checkout(int client)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(remote_port)};
    char request[4096];
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int remote = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (recv(client, request, sizeof request, 0) < 0 ||
        connect(remote, (struct sockaddr *)&to, sizeof to) < 0)
        return -1;
    int user = load_user(remote, client);
    done = user;
    return user + request[0];
}

NOT_INLINED int take_turn(int client)
{
    char request[512];
    recv(client, request, sizeof request, 0);
    pthread_mutex_lock(&lock);
    int status = handle_checkout(client);
    pthread_mutex_unlock(&lock);
    return status + request[0];
}

NOT_INLINED int echo(int client)
{
    char byte;
    for (;;) {
        int length = recv(client, &byte, 1, 0);
        if (length == 1)
            length = send(client, &byte, 1, 0);
        if (length < 0 && errno == EINTR)
            interrupted++;
        else if (length != 1)
            break;
    }
    return 0;
}

static void *worker(void *argument)
{
    int client = (int)(long)argument;
    char first = 0;
    recv(client, &first, 1, MSG_PEEK);
    int status = first == 'E' ? echo(client) : is_locked ? take_turn(client) : handle_checkout(client);
    done = status;
    return NULL;
}

static void *leash(void *argument)
{
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    printf("{\"count\": %d}\n", interrupted);
    fflush(stdout);
    _exit(0);
    return argument;
}

int main(int count, char **arguments)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t length = sizeof at;
    pthread_t thread;
    pthread_attr_t small;
    remote_port = atoi(arguments[count - 1]);
    is_locked = getenv("LOCKED") != NULL;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 1024) < 0)
        return 1;
    getsockname(listener, (struct sockaddr *)&at, &length);
    printf("{\"port\": %d}\n", ntohs(at.sin_port));
    fflush(stdout);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 << 10);
    pthread_create(&thread, NULL, leash, NULL);
    for (int number = 0;; number++) {
        int client = accept(listener, NULL, NULL);
        if (client < 0 || pthread_create(&thread, &small, worker, (void *)(long)client) != 0)
            return 1;
        char name[24];
        snprintf(name, sizeof name, "worker-%d", number);
        pthread_setname_np(thread, name);
    }
}
