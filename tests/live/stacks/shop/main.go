// A server whose handlers wait for a database that does not answer, while their clients hang up. Other
// goroutines wait for a lock, for a channel and for nothing in particular.
//
// It is given the address of the database, and ends when its input does and all handlers have an answer.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var (
	lock     sync.Mutex
	never    = make(chan int)
	handlers sync.WaitGroup
	answers  int64
)

//go:noinline
func queryDB(db net.Conn) byte {
	var answer [1]byte
	if _, err := io.ReadFull(db, answer[:]); err != nil {
		return 0
	}
	return answer[0]
}

//go:noinline
func loadUser(address string) byte {
	db, err := net.Dial("tcp", address)
	if err != nil {
		return 0
	}
	defer db.Close()
	return queryDB(db)
}

//go:noinline
func handleCheckout(client net.Conn, address string) {
	defer handlers.Done()
	defer client.Close()
	if loadUser(address) == '1' {
		atomic.AddInt64(&answers, 1)
	}
}

//go:noinline
func waitForLock() {
	lock.Lock()
	lock.Unlock()
}

//go:noinline
func waitForReply() int {
	return <-never
}

//go:noinline
func waitForTime() {
	time.Sleep(time.Hour)
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	lock.Lock()
	for i := 0; i < 3; i++ {
		go waitForLock()
	}
	for i := 0; i < 2; i++ {
		go waitForReply()
	}
	go waitForTime()
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			handlers.Add(1)
			go handleCheckout(client, os.Args[1])
		}
	}()
	fmt.Printf("{\"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	io.Copy(io.Discard, os.Stdin)
	handlers.Wait()
	fmt.Printf("{\"count\": %d}\n", atomic.LoadInt64(&answers))
}
