# What this program needs beside the libraries of all: pkg-config modules.
set(modules libxml-2.0>=2.9.14)
