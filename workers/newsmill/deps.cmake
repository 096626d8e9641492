# What this program needs beside the libraries of all: pkg-config modules, and the cores of other folders.
set(modules libxml-2.0>=2.9.14)
set(cores images)
