/* metrics_internal.h - what the files of the metrics share. */
#ifndef NM_METRICS_INTERNAL_H
#define NM_METRICS_INTERNAL_H

#include "newsmill/buf.h"

/* A number as the text format writes it: "+Inf", "-Inf", "NaN", else the shortest decimal that reads back the same. */
void nm_metrics_number(double value, struct nm_buf *out);
/* # HELP and # TYPE of a family; `name` whole. */
void nm_metrics_head(const char *name, const char *help, const char *type, struct nm_buf *out);

/* When this process began, seconds since 1970; 0: not known. */
double nm_process_start_s(void);
/* The process_* families; start_s from nm_process_start_s(). What the system does not tell is left out. */
void nm_process_render(double start_s, struct nm_buf *out);

#endif
