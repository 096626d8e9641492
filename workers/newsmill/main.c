/* main.c - the operator's tool, see tool.c. */
#include "tool.h"

int main(int argc, char **argv)
{
    return nm_tool_main(argc, argv);
}
