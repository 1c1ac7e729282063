# Flags of single kernel files: instruction sets are chosen at run time, so only
# the files that are guarded by a CPU check may use them.
set(KERNELS ${PROJECT_SOURCE_DIR}/kernels)
set_source_files_properties(${KERNELS}/cpu/cpu_avx2.c PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
