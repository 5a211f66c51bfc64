// The MongoDB protocol on 127.0.0.1, any port, kept in SQLite files in the directory that the first
// argument names. Prints "listening PORT" and ends when its standard input does.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Handler:   "sqlite",
		SQLiteURL: "file:" + os.Args[1] + "/",
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() { // the address is known once Run listens
		uri, _ := url.Parse(server.MongoDBURI())
		fmt.Println("listening", uri.Port())
		io.Copy(io.Discard, os.Stdin) // until whoever started us has gone
		stop()
	}()
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
