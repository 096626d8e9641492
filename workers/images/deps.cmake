# What this program needs beside the libraries of all: pkg-config modules.
set(modules libjpeg>=2.1 libpng>=1.6.37 libwebp>=1.2.4 libwebpdemux libwebpmux libgif>=5.2 libseccomp>=2.5
    libcurl>=7.88.1 libxml-2.0>=2.9.14)
