# embed_text(FILE SYMBOL OUT): a C file that defines `const char SYMBOL[]` with FILE's text.
function(embed_text file symbol out)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1, " bytes "${hex}")
    file(CONFIGURE OUTPUT ${out} CONTENT "extern const char ${symbol}[];\nconst char ${symbol}[] = { ${bytes}0 };\n")
endfunction()
