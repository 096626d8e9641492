#include "decoder_process.h"

#include "newsmill/worker.h"

#include <string.h>
#include <unistd.h>

extern const struct nm_worker images_worker;

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--decoder") == 0) /* one of its own decoder processes */
        _exit(im_decoder_main(IM_DECODER_FD));
    return nm_run(&images_worker, argc, argv);
}
